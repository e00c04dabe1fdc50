package report

import "fmt"

// layers is the table of what was kept, a bar in each cell; a column that no
// layer has is left out.
type layers struct {
	Columns []string
	Rows    []layerRow
}

type layerRow struct {
	Number int
	Cells  []cell
}

// A cell is a bar of Width percent and its text.
type cell struct {
	Missing bool
	Width   string
	Text    string
	Gone    bool // nothing is left
}

var layerColumns = []struct {
	name string
	of   func(l *Layer) Kept
}{
	{"heads", func(l *Layer) Kept { return l.Heads }},
	{"query and key width", func(l *Layer) Kept { return l.QueryKey }},
	{"value width", func(l *Layer) Kept { return l.Value }},
	{"FFN width", func(l *Layer) Kept { return l.FFN }},
	{"16×16 tiles", func(l *Layer) Kept { return l.Tiles }},
}

func newLayers(all []Layer) *layers {
	t := &layers{Rows: make([]layerRow, len(all))}
	for i := range all {
		t.Rows[i].Number = i
	}
	for _, c := range layerColumns {
		met := false
		for i := range all {
			met = met || c.of(&all[i]).Of > 0
		}
		if !met {
			continue
		}
		t.Columns = append(t.Columns, c.name)
		for i := range all {
			t.Rows[i].Cells = append(t.Rows[i].Cells, newCell(c.of(&all[i])))
		}
	}
	return t
}

func newCell(k Kept) cell {
	if k.Of == 0 {
		return cell{Missing: true}
	}
	return cell{
		Width: coordinate(100 * float64(k.Kept) / float64(k.Of)),
		Text:  fmt.Sprintf("%d of %d", k.Kept, k.Of),
		Gone:  k.Kept == 0,
	}
}
