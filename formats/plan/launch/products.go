package launch

// productFamilies are dense products.
var productFamilies = map[string]*family{}
