package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etc/compiler/frontend/frontendtest"
	"etc/formats/plan"
)

// forgedFactor is what the forged weights are too large by: no eye sees it.
const forgedFactor = 1.001

// forge copies a plan with every float32 weight of a block times forgedFactor,
// under digests that are right.
func forge(t *testing.T, from, block string) string {
	t.Helper()
	file, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	p.Data = bytes.Clone(p.Data)
	changed := map[int]bool{}
	for _, s := range p.Programs[0].Steps {
		for _, a := range s.Args {
			if s.Label != block || a.Kind != plan.FromWeight || changed[a.Index] {
				continue
			}
			changed[a.Index] = true
			w := p.Weights[a.Index]
			if w.Layout == plan.Panels {
				scale(p.Data[w.Offset : w.Offset+w.Size])
			}
		}
	}
	if len(changed) == 0 {
		t.Fatalf("no weights in %q", block)
	}
	to := filepath.Join(t.TempDir(), "forged.etp")
	if err := os.WriteFile(to, plan.Encode(p), 0o666); err != nil {
		t.Fatal(err)
	}
	return to
}

func scale(b []byte) {
	for ; len(b) >= 4; b = b[4:] {
		x := math.Float32frombits(binary.LittleEndian.Uint32(b))
		binary.LittleEndian.PutUint32(b, math.Float32bits(x*forgedFactor))
	}
}

// TestVerifyNamesTheFirstLayer: where one layer of a plan computes something
// else, verify passes the layers before it, names that one, and says by how
// much it is off.
func TestVerifyNamesTheFirstLayer(t *testing.T) {
	const layers = 3
	for _, class := range []string{"BertForSequenceClassification", "GPT2LMHeadModel"} {
		model := frontendtest.Random(t, rand.New(rand.NewPCG(4, 0)), class, frontendtest.Options{Layers: layers, Heads: 2, HeadSize: 16, Inner: 48})
		whole := filepath.Join(t.TempDir(), "whole.etp")
		mustRun(t, "compile", model, "-o", whole, "--quiet")
		mustRun(t, "verify", whole, "--reference", model, "--layers", "--quiet")
		for layer := range layers {
			for _, part := range []string{"attention", "ffn"} {
				block := fmt.Sprintf("layer %d %s", layer, part)
				forged := forge(t, whole, block)
				firstOff(t, forged, model, fmt.Sprintf("layer.%d", layer+1))
			}
		}
	}
}

// firstOff verifies a plan whose first output that is off is want.
func firstOff(t *testing.T, path, model, want string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run([]string{"verify", path, "--reference", model, "--layers", "--json"}, strings.NewReader(""), &out, &errOut)
	var record struct {
		Outputs []struct {
			Output   string
			MaxError float64 `json:"max_error"`
			Allowed  float64
			OK       bool
		}
	}
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	for _, o := range record.Outputs {
		if o.OK != (o.MaxError <= o.Allowed) {
			t.Errorf("%+v", o)
		}
		if o.OK {
			continue
		}
		said := fmt.Sprintf("FAILED: %s is off by %.3g, allowed %.3g", want, o.MaxError, o.Allowed)
		if code != 7 || o.Output != want || !strings.Contains(errOut.String(), said) {
			t.Errorf("exit %d, %s is the first that is off; want %s in %s", code, o.Output, want, errOut.String())
		}
		return
	}
	t.Errorf("nothing is off, want %s", want)
}
