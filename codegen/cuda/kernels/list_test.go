package kernels

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	want := regexp.MustCompile(os.Getenv("REASON"))
	ks, eq := goldens(), readEquivalents(t)
	for entry, rec := range readSurvivors(t) {
		ptx, _ := goldenPTX(entry)
		f := newThreadFlow(string(ptx), ks[entry].Threads())
		for _, l := range rec[1:] {
			s := recorded(l)
			if f.proves(s.mutant) {
				continue
			}
			if r := explain(eq, ks[entry], s); want.MatchString(r) {
				line, _, _ := strings.Cut(s.source, " in ")
				text := ""
				before, _, _ := strings.Cut(s.what, " => ")
				at := -1
				for i, x := range f.listing {
					if x.text == before {
						at = i
					}
				}
				for _, a := range f.listing[at].args[1:] {
					for _, w := range f.written[a] {
						text += "   <- " + f.listing[w].text
						for _, b := range f.listing[w].args[1:] {
							for _, v := range f.written[b] {
								text += "  <-- " + f.listing[v].text
								for _, c := range f.listing[v].args[1:] {
									for _, v := range f.written[c] {
										text += "  <--- " + f.listing[v].text
									}
								}
							}
						}
					}
				}
				t.Logf("%s: %.40s : %s %s", entry, line, s.what, text)
			}
		}
	}
}
