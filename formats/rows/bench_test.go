package rows

import (
	"io"
	"testing"
)

// One operation is a row of SST-2's usual length, read and given back.
func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name, line string
		format     Format
	}{
		{"text", "it 's a charming and often affecting journey that one could not but enjoy from its start to its end .\n", Text},
		{"json", `{"id":17,"text":"it 's a charming and often affecting journey that one could not but enjoy from its start to its end ."}` + "\n", JSONL},
		{"ids", `{"ids":[101,2009,1005,1055,1037,11951,1998,2411,12473,4990,1012,102,101,2009,1005,1055,1037,11951,1998,2411,12473,4990,1012,102]}` + "\n", JSONL},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.line)))
			src := &repeated{pattern: c.line, n: int64(len(c.line)) * int64(b.N)}
			r := NewReader(b.Context(), src, "", c.format)
			defer r.Close()
			for {
				row, err := r.Next()
				if err == io.EOF {
					return
				}
				if err != nil || row.Err != nil {
					b.Fatal(err, row.Err)
				}
				r.Release(row)
			}
		})
	}
}
