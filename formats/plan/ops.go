package plan

// An operandKind says what may stand at an operand's place.
type operandKind uint8

const (
	activation operandKind = iota + 1 // a buffer
	matrix                            // weight [N,K] in the operator's layout on the target
	table                             // weight [rows,width], as the target keeps tables
	distances                         // weight f32 [heads,2S-1], row-major
	vector                            // weight f32 [n], row-major
	columns                           // weight i32 [n], row-major, ascending from 0
	idList                            // the inputs of that name
	typeList
	positionList
	offsetList
)

// argKinds gives the ArgKind of each operandKind.
var argKinds = []ArgKind{activation: FromBuffer, matrix: FromWeight, table: FromWeight, distances: FromWeight, vector: FromWeight, columns: FromWeight,
	idList: FromIDs, typeList: FromTypes, positionList: FromPositions, offsetList: FromOffsets}

// An operand is one place of an operator's list.
type operand struct {
	name     string
	kind     operandKind
	optional bool
}

// A paramSet says which fields of Params an operator has.
type paramSet uint8

const (
	hasAct    paramSet = 1 << iota // Act
	hasRows                        // Rows
	hasHeads                       // Heads, D, Dv, Causal, Exp2
	hasScaled                      // Scaled
	hasScale                       // Scale
	hasEps                         // Eps
)

const (
	linearParams    = hasAct | hasScaled | hasScale
	attentionParams = hasHeads | hasRows | hasScale
)

// An opInfo is one row of the operator table: all that Check knows of an operator.
type opInfo struct {
	name     string
	operands []operand
	params   paramSet
	form     *form // of the matrix operand; nil: there is none, and so no reduction
	// results derives the shapes of the results from the operands, by the
	// rules of ir, and refuses operands that do not agree.
	results func(*stepView) []shape
}

var (
	embedOperands = []operand{{"ids", idList, false}, {"positions", positionList, true}, {"types", typeList, true},
		{"word", table, false}, {"position", table, true}, {"type", table, true}}
	normOperands   = []operand{{"gamma", vector, false}, {"beta", vector, false}}
	linearOperands = []operand{{"x", activation, false}, {"w", matrix, false}, {"b", vector, true},
		{"residual", activation, true}, {"columns", columns, true}}
	attentionOperands = []operand{{"qkv", activation, false}, {"offsets", offsetList, false},
		{"q", activation, true}, {"bias", distances, true}}
	rowOperands = []operand{{"x", activation, false}, {"offsets", offsetList, false}}
)

// opTable has a row for each Op. Operands are in the order of Step.Args.
var opTable = [...]opInfo{
	Embed:          {"embed", embedOperands, hasScale, nil, (*stepView).embed},
	EmbedLayerNorm: {"embed_layernorm", join(embedOperands, normOperands), hasScale | hasEps, nil, (*stepView).embedLayerNorm},
	LayerNorm:      {"layernorm", join([]operand{{"x", activation, false}}, normOperands), hasEps, nil, (*stepView).layerNorm},
	SkipLayerNorm: {"skip_layernorm", join([]operand{{"x", activation, false}, {"residual", activation, false}}, normOperands,
		[]operand{{"bias", vector, true}, {"columns", columns, true}}), hasEps, nil, (*stepView).skipLayerNorm},
	Linear:              {"linear", linearOperands, linearParams, dense, (*stepView).linear},
	BlockSparseLinear:   {"block_sparse_linear", linearOperands, linearParams, tiles, (*stepView).linear},
	CSRLinear:           {"csr_linear", linearOperands, linearParams, csr, (*stepView).linear},
	Sparse24Linear:      {"sparse24_linear", linearOperands, linearParams, twoOfFour, (*stepView).linear},
	OTFAttention:        {"otf_attention", attentionOperands, attentionParams, nil, (*stepView).attention},
	PartialOTFAttention: {"partial_otf_attention", attentionOperands, attentionParams, nil, (*stepView).attention},
	FlashAttention:      {"flash_attention", attentionOperands, attentionParams, nil, (*stepView).attention},
	VOAttention: {"vo_attention", []operand{{"qk", activation, false}, {"x", activation, false}, {"m", matrix, false},
		{"offsets", offsetList, false}, {"b", vector, true}}, attentionParams, floats, (*stepView).voAttention},
	SelectRows: {"select_rows", rowOperands, hasRows, nil, (*stepView).selectRows},
	Pool:       {"pool", rowOperands, 0, nil, (*stepView).pool},
	Normalize:  {"normalize", []operand{{"x", activation, false}}, 0, nil, (*stepView).normalize},
	LinearNLL: {"linear_nll", []operand{{"x", activation, false}, {"w", matrix, false}, {"b", vector, true},
		{"ids", idList, false}, {"offsets", offsetList, false}}, 0, floats, (*stepView).linearNLL},
}

func join(lists ...[]operand) []operand {
	var all []operand
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// info is the row of o; nil where o is no operator.
func (o Op) info() *opInfo {
	if o == 0 || int(o) >= len(opTable) {
		return nil
	}
	return &opTable[o]
}

// Ops lists every operator in the order of the table.
func Ops() []Op {
	var all []Op
	for o := 1; o < len(opTable); o++ {
		all = append(all, Op(o))
	}
	return all
}

// Operands lists the names of o's operands in the order of Step.Args; a
// trailing ? marks one that may be absent.
func (o Op) Operands() []string {
	var names []string
	for _, operand := range o.info().operands {
		if operand.optional {
			operand.name += "?"
		}
		names = append(names, operand.name)
	}
	return names
}

// IsFusedAttention reports whether o is one of the attention operators over
// qkv, which a Choice may put in one another's place.
func (o Op) IsFusedAttention() bool {
	return o == OTFAttention || o == PartialOTFAttention || o == FlashAttention
}
