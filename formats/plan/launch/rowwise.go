package launch

// rowwiseFamilies are the operators that compute each row by itself.
var rowwiseFamilies = map[string]*family{}
