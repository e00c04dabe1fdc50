package plan

import "fmt"

func name(names []string, kind string, i uint8) string {
	if int(i) < len(names) && names[i] != "" {
		return names[i]
	}
	return fmt.Sprintf("%s %d", kind, i)
}

var taskNames = []string{Classification: "classification", MultiLabel: "multi-label classification", Regression: "regression",
	Embedding: "embedding", CausalLM: "causal language model", TokenClassification: "token classification"}

func (t Task) String() string { return name(taskNames, "task", uint8(t)) }

var layoutNames = []string{RowMajor: "row-major", Panels: "panels", Tiles: "tiles", CSR: "csr", NM24: "2:4",
	Padded: "padded", GPUTiles: "gpu tiles", GPUCSR: "gpu csr", GPU24: "gpu 2:4",
	IntPanels: "integer panels", IntTiles: "integer tiles"}

func (l Layout) String() string { return name(layoutNames, "layout", uint8(l)) }

var rowsNames = []string{PerToken: "T", PerRow: "B"}

func (r Rows) String() string { return name(rowsNames, "rows", uint8(r)) }

var argNames = []string{None: "absent", FromBuffer: "a buffer", FromWeight: "a weight",
	FromIDs: "ids", FromTypes: "types", FromPositions: "positions", FromOffsets: "offsets"}

func (k ArgKind) String() string { return name(argNames, "operand kind", uint8(k)) }

var rowChoiceNames = []string{AllRows: "all", FirstRows: "first", LastRows: "last"}

func (r RowChoice) String() string { return name(rowChoiceNames, "row choice", uint8(r)) }

func (o Op) String() string {
	if info := o.info(); info != nil {
		return info.name
	}
	return fmt.Sprintf("operator %d", uint8(o))
}
