package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"etc/fault"
	"etc/ir"
	"etc/ir/pass"
)

// A passWatcher dumps the graph after each pass and keeps the pass table.
type passWatcher struct {
	dump string
	rows []passRow
	err  error
}

type passRow struct {
	Name    string  `json:"name"`
	Changed int     `json:"changed"`
	Before  int     `json:"operators_before"`
	After   int     `json:"operators_after"`
	Ms      float64 `json:"ms"`
}

// makeDump makes the folder of --dump-ir. One with something in it is taken
// only with --force: a reader could not tell old files from new ones.
func (p *program) makeDump(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case os.IsNotExist(err):
		return os.MkdirAll(dir, 0o777)
	case err != nil:
		return fault.Newf(fault.Usage, "--dump-ir: %v", err)
	case len(entries) > 0 && !p.force:
		return fault.Newf(fault.Usage, "--dump-ir %s: the folder is not empty", dir).WithHint("--force writes into it")
	}
	return nil
}

func (w *passWatcher) observe(r pass.Report, g *ir.Graph) {
	w.rows = append(w.rows, passRow{r.Pass.Name, r.Changed, r.Before, r.After, float64(r.Elapsed.Microseconds()) / 1e3})
	if w.dump == "" || w.err != nil {
		return
	}
	name := fmt.Sprintf("%02d-%s.ir", r.Index, r.Pass.Name)
	w.err = os.WriteFile(filepath.Join(w.dump, name), []byte(ir.Print(g)), 0o666)
}

func (w *passWatcher) print(out io.Writer) {
	b := bufio.NewWriter(out)
	defer b.Flush()
	fmt.Fprintf(b, "%-26s %8s %12s %9s\n", "pass", "changed", "operators", "ms")
	for _, r := range w.rows {
		fmt.Fprintf(b, "%-26s %8d %5d → %4d %9.2f\n", r.Name, r.Changed, r.Before, r.After, r.Ms)
	}
}
