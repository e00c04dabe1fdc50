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
	p := decoded(t, from)
	p.Data = bytes.Clone(p.Data)
	changed := map[int]bool{}
	for _, q := range p.Programs {
		for _, s := range q.Steps {
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

// TestVerifyEveryProgram: of a plan with several programs for a device, all are
// verified; the other commands say which one they take.
func TestVerifyEveryProgram(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.etp")
	mustRun(t, "compile", tinyModel, "-o", whole, "--target", "cpu:int8,cpu:f32", "--quiet")
	said := func(want int, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if code := run(args, strings.NewReader(""), &out, &errOut); code != want {
			t.Fatalf("etc %v: exit %d, want %d: %s", args, code, want, errOut.String())
		}
		return out.String() + errOut.String()
	}
	if text := said(0, "verify", whole, "--reference", tinyModel); !strings.Contains(text, "\ncpu:int8 logits ") || !strings.Contains(text, "\ncpu:f32 logits ") || strings.Contains(text, "not cpu:f32") {
		t.Error(text)
	}
	// Only the second program has panels of float32, and tells such a small change.
	forged := forge(t, whole, "layer 0 ffn")
	if text := said(7, "verify", forged, "--reference", tinyModel, "--layers"); !strings.Contains(text, "FAILED: cpu:f32 layer.1 is off") {
		t.Error(text)
	}
	for _, device := range []string{"auto", "cpu"} {
		for _, args := range [][]string{
			{"run", whole}, {"eval", whole, "--data", devRows, "--limit", "1"}, {"bench", whole, "--batch", "1", "--seqlen", "8", "--seconds", "0.01"},
		} {
			if text := said(0, append(args, "--device", device)...); !strings.Contains(text, " runs cpu:int8, not cpu:f32") {
				t.Errorf("%v: %s", args, text)
			}
		}
	}
	if text := said(0, "run", compileTiny(t), "--device", "cpu"); strings.Contains(text, " runs ") {
		t.Error(text)
	}
}

// TestReferenceOfAnotherPlan: a checkpoint with the weights of the plan, but other
// labels, length or tokenizer, is another one.
func TestReferenceOfAnotherPlan(t *testing.T) {
	whole := compileTiny(t)
	swapped := edited(t, []string{`"negative"`, `"positive"`, `"positive"`, `"negative"`})
	shorter, other, none := edited(t, nil), edited(t, nil), edited(t, nil)
	for path, edit := range map[string][]string{
		filepath.Join(shorter, "tokenizer_config.json"): {`"model_max_length": 128`, `"model_max_length": 100`},
		filepath.Join(other, "tokenizer.json"):          {`"[CLS]"`, `"[SEP]"`, `"[SEP]"`, `"[CLS]"`},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer(edit...).Replace(string(text))
		if changed == string(text) {
			t.Fatalf("%s has nothing of %q", path, edit)
		}
		if err := os.WriteFile(path, []byte(changed), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if err := os.Remove(filepath.Join(none, name)); err != nil {
			t.Fatal(err)
		}
	}
	for model, want := range map[string]string{
		swapped: `label 0: "positive", of the plan "negative"`,
		shorter: "longest row: 100, of the plan 128",
		other:   "tokenizer: sha256 ",
		none:    "tokenizer: none, of the plan sha256 ",
	} {
		var out, errOut bytes.Buffer
		code := run([]string{"verify", whole, "--reference", model}, strings.NewReader(""), &out, &errOut)
		if code != 7 || !strings.Contains(errOut.String(), "is not the checkpoint of this plan: "+want) {
			t.Errorf("exit %d, want %q in %s", code, want, errOut.String())
		}
	}
	mustRun(t, "verify", whole, "--reference", edited(t, nil), "--quiet")
}
