package launch

// attentionFamilies are the attention operators.
var attentionFamilies = map[string]*family{}
