package latency

import (
	"embed"
	"fmt"
	"path"
	"sync"
)

// The tables of this program, measured by make latency-tables.
//
//go:embed tables
var tables embed.FS

// Shipped is the table of this program for a target, a CPU level and a model,
// false where it has none. Callers share it and leave it as it is.
func Shipped(target, level string, d Dimensions) (*Table, bool) {
	for _, t := range shipped() {
		if t.Target == target && t.Level == level && t.Model == d {
			return t, true
		}
	}
	return nil, false
}

var shipped = sync.OnceValue(func() (all []*Table) {
	files, err := tables.ReadDir("tables")
	if err != nil {
		panic(fmt.Sprintf("bug: latency tables: %v", err))
	}
	for _, f := range files {
		if path.Ext(f.Name()) != ".json" {
			continue
		}
		b, err := tables.ReadFile(path.Join("tables", f.Name()))
		if err != nil {
			panic(fmt.Sprintf("bug: latency tables: %v", err))
		}
		t, err := Read(b)
		if err != nil {
			panic(fmt.Sprintf("bug: tables/%s: %v", f.Name(), err))
		}
		all = append(all, t)
	}
	return all
})
