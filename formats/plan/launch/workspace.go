package launch

// What kernels of one step hand on to one another lies in a workspace, whose
// size follows from the step and the kernels.

// ScoresStride is the float32 scores that partial_otf_attention keeps for a
// query and head, where rows have at most so many tokens.
func ScoresStride(tokens int) int { return ceil(tokens, 16) * 16 }
