package launch

// sparseFamilies are products with sparse weights.
var sparseFamilies = map[string]*family{}
