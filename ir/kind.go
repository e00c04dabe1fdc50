package ir

import "reflect"

// A Kind is an operator. Model operators are what a frontend emits and the
// algebra works on; kernel operators are what a plan is made of. Some are both.
type Kind uint8

// Shapes: T tokens, B rows, R either of the two, H width of the residual
// stream, N outputs and K inputs of a product, V vocabulary, P positions, h
// heads of query-key width d and value width dv. `?` marks an operand that
// may be absent. docs/operators.md says what each computes, ir/interp defines it.
const (
	Invalid Kind = iota

	// Sources.
	Input  //  -> given by the executor; its name is one of InputNames
	Weight //  -> a constant, with its data

	// Model operators.
	Activation // x[R,N]                                   -> [R,N]
	Add        // x[R,N] y[R,N]                            -> [R,N]
	Gather     // x[R,N] columns[K]                        -> [R,K]  x[:,columns]
	Scatter    // x[R,K] columns[K]                        -> [R,N]  the inverse, zeros elsewhere
	Attention  // q[R,h·d] k[T,h·d] v[T,h·dv] offsets bias? -> [R,h·dv]

	// Model and kernel operators.
	Embed      // ids[T] positions[T]? types[T]? word[V,H] position[P,H]? type[Y,H]? -> [T,H]
	LayerNorm  // x[R,H] gamma[H] beta[H]                  -> [R,H]
	Linear     // x[R,M] w[N,K] b[N]? residual[R,N]? columns[K]? -> [R,N]
	SelectRows // x[T,N] offsets                           -> [B,N]
	Pool       // x[T,N] offsets                           -> [B,N]
	Normalize  // x[R,N]                                   -> [R,N]
	LinearNLL  // x[T,K] w[V,K] b[V]? ids[T] offsets       -> nll[T] hit[T]

	// Kernel operators.
	EmbedLayerNorm      // as embed, then gamma[H] beta[H] -> [T,H]
	SkipLayerNorm       // x[R,M] residual[R,H] gamma[H] beta[H] bias[H]? columns[M]? -> sum[R,H] norm[R,H]
	BlockSparseLinear   // as linear, w kept in 16×16 tiles
	CSRLinear           // as linear, w kept in compressed rows
	Sparse24Linear      // as linear, w kept as 2 of every 4 in a row
	OTFAttention        // qkv[T,h(2d+dv)] offsets q[B,h·d]? bias? -> [R,h·dv]; with q, qkv holds k and v only
	PartialOTFAttention // as otf_attention
	FlashAttention      // as otf_attention
	VOAttention         // qk[T,2h·d] x[T,K] m[h·N,K] offsets b[N]? -> [T,N]

	kinds
)

// A Level says where a kind may stand.
type Level uint8

const (
	Model  Level = 1 << iota // in a graph that passes still rewrite
	Kernel                   // in a graph that is lowered
)

// A kindInfo is one row of the operator table.
type kindInfo struct {
	name     string
	level    Level
	operands string       // names in order; a trailing ? marks an optional one
	results  int          // number of results
	attrs    reflect.Type // nil: none
	infer    func(op *Op) []Type
}

var table [kinds]kindInfo

func init() {
	// Assigned here because infer functions read the table.
	table = [kinds]kindInfo{
		Input:      {"input", Model | Kernel, "", 1, reflect.TypeFor[InputAttrs](), nil},
		Weight:     {"weight", Model | Kernel, "", 1, reflect.TypeFor[WeightAttrs](), nil},
		Activation: {"activation", Model, "x", 1, reflect.TypeFor[ActivationAttrs](), inferSame},
		Add:        {"add", Model, "x y", 1, nil, inferAdd},
		Gather:     {"gather", Model, "x columns", 1, nil, inferGather},
		Scatter:    {"scatter", Model, "x columns", 1, reflect.TypeFor[ScatterAttrs](), inferScatter},
		Attention:  {"attention", Model, "q k v offsets bias?", 1, reflect.TypeFor[AttentionAttrs](), inferAttention},

		Embed:      {"embed", Model | Kernel, embedOperands, 1, reflect.TypeFor[EmbedAttrs](), inferEmbed},
		LayerNorm:  {"layernorm", Model | Kernel, "x gamma beta", 1, reflect.TypeFor[LayerNormAttrs](), inferLayerNorm},
		Linear:     {"linear", Model | Kernel, linearOperands, 1, reflect.TypeFor[LinearAttrs](), inferLinear},
		SelectRows: {"select_rows", Model | Kernel, "x offsets", 1, reflect.TypeFor[SelectRowsAttrs](), inferSelect},
		Pool:       {"pool", Model | Kernel, "x offsets", 1, reflect.TypeFor[PoolAttrs](), inferSelect},
		Normalize:  {"normalize", Model | Kernel, "x", 1, nil, inferSame},
		LinearNLL:  {"linear_nll", Model | Kernel, "x w b? ids offsets", 2, nil, inferLinearNLL},

		EmbedLayerNorm:      {"embed_layernorm", Kernel, embedOperands + " gamma beta", 1, reflect.TypeFor[EmbedLayerNormAttrs](), inferEmbedLayerNorm},
		SkipLayerNorm:       {"skip_layernorm", Kernel, "x residual gamma beta bias? columns?", 2, reflect.TypeFor[LayerNormAttrs](), inferSkipLayerNorm},
		BlockSparseLinear:   {"block_sparse_linear", Kernel, linearOperands, 1, reflect.TypeFor[LinearAttrs](), inferLinear},
		CSRLinear:           {"csr_linear", Kernel, linearOperands, 1, reflect.TypeFor[LinearAttrs](), inferLinear},
		Sparse24Linear:      {"sparse24_linear", Kernel, linearOperands, 1, reflect.TypeFor[LinearAttrs](), inferLinear},
		OTFAttention:        {"otf_attention", Kernel, fusedAttentionOperands, 1, reflect.TypeFor[AttentionAttrs](), inferFusedAttention},
		PartialOTFAttention: {"partial_otf_attention", Kernel, fusedAttentionOperands, 1, reflect.TypeFor[AttentionAttrs](), inferFusedAttention},
		FlashAttention:      {"flash_attention", Kernel, fusedAttentionOperands, 1, reflect.TypeFor[AttentionAttrs](), inferFusedAttention},
		VOAttention:         {"vo_attention", Kernel, "qk x m offsets b?", 1, reflect.TypeFor[AttentionAttrs](), inferVOAttention},
	}
}

const (
	embedOperands          = "ids positions? types? word position? type?"
	linearOperands         = "x w b? residual? columns?"
	fusedAttentionOperands = "qkv offsets q? bias?"
)

func (k Kind) String() string { return table[k].name }

// Is reports whether k may stand at level l.
func (k Kind) Is(l Level) bool { return table[k].level&l != 0 }

// IsLinear reports whether k is linear or one of its sparse forms.
func (k Kind) IsLinear() bool {
	return k == Linear || k == BlockSparseLinear || k == CSRLinear || k == Sparse24Linear
}

// IsFusedAttention reports whether k is one of the attention kernels over qkv.
func (k Kind) IsFusedAttention() bool {
	return k == OTFAttention || k == PartialOTFAttention || k == FlashAttention
}

// Kinds lists every operator in table order.
func Kinds() []Kind {
	var all []Kind
	for k := Input; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// ParseKind is the inverse of String.
func ParseKind(name string) (Kind, bool) {
	for k := Input; k < kinds; k++ {
		if table[k].name == name {
			return k, true
		}
	}
	return Invalid, false
}
