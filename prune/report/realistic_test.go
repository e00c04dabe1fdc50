package report

import "fmt"

func pointer[T any](x T) *T { return &x }

// realistic is a page as a search over twelve layers leaves it: twenty
// candidates, one of which collapses, one stopped early, some not judged.
func realistic() *Page {
	p := &Page{
		Head: Head{
			Model: "minilm-sst2", Task: "text-classification", Version: "1.4.0", Target: "cpu:f32",
			Source:       "9f2c41d07a3be86655d1f0c2b7a94e3312c0a8f94be1d5f67a20c3e98d41b7f5",
			LatencyTable: "shipped, avx512", TableDigest: "51ac09fe77d2b340",
			Command: "etc prune models/minilm-sst2 -o out/minilm-sst2-2x --eval data/sst2/dev.tsv --calib data/sst2/train.tsv --max-drop 1.5% --speedup 2 --target cpu:f32 --seed 0",
		},
		Verdict: Verdict{
			Speedup: &Goal{"2", true}, Drop: &Goal{"1.5%", true},
			Shapes: []Shape{{"1×32", pointer(2.04), pointer(1.97)}, {"1×128", pointer(2.11), pointer(2.09)}, {"8×128", pointer(2.15), pointer(2.18)}},
			Judged: []Judgement{{"accept half", 348, 0.9052, 0.8966, 0.86, -1.15, 2.87, pointer(0.4531)}},
		},
		Metric: Metric{Name: "accuracy", Damage: "KL", Dense: &Value{0.9026, 0.8671, 0.9293}, Allowed: pointer(0.8876)},
		Notes:  []string{"348 rows on the accept half: a paired interval of about 2.0 points to each side; for ±1.5 points it would take 620 rows.", "Calibration: 65,536 tokens without labels."},
	}
	names := []string{"uniform", "dp-local", "dp-e2e"}
	for i := range 18 {
		rung := []int{8, 14, 11, 16, 10, 12}[i/3]
		c := Candidate{Name: names[i%3], Rung: rung, Speedup: 1 / (1 - 0.042*float64(rung)) * (1 + 0.004*float64(i%3)), Sparsity: 0.036*float64(rung) + 0.01*float64(i%3), Damage: pointer(0.0021 * float64(rung*rung) / 16 * (1 + 0.4*float64(i%2)))}
		value := 0.9160 - 0.00017*float64(rung*rung) - 0.006*float64((i+1)%3)
		c.Metric = &Value{value, value - 0.034, value + 0.029}
		c.Outcome, c.Reason = Inside, "inside; a faster or better one was found"
		switch {
		case i%3 == 1:
			c.Metric, c.Outcome, c.Reason = nil, NotJudged, "its KL is larger than that of the others of its rung"
		case value < 0.8876:
			c.Outcome, c.Reason = Outside, fmt.Sprintf("loses %.2f points", 100*(0.9026-value))
		}
		p.Candidates = append(p.Candidates, c)
	}
	p.Candidates = append(p.Candidates,
		Candidate{"uniform", 18, 3.1, 0.7, pointer(0.61), &Value{0.64, 0.52, 0.75}, EarlyStop, "after 64 rows the drop is above 1.5 points for certain"},
		Candidate{"uniform, all FFN of layer 0 gone", 15, 2.35, 0.55, pointer(1.9), &Value{0.5089, 0.456, 0.561}, Outside, "loses 39.4 points"},
		Candidate{"switch 3", 12, 2.04, 0.462, pointer(0.0179), &Value{0.8954, 0.8589, 0.9233}, Chosen, "the fastest inside, after three switches"})
	for l := range 12 {
		p.Layers = append(p.Layers, Layer{
			Heads: Kept{12 - l%5, 12}, QueryKey: Kept{(12 - l%5) * 24, 384}, Value: Kept{(12 - l%5) * 32, 384},
			FFN: Kept{1536 - 128*((l*7)%11), 1536}, Tiles: Kept{1200 - 60*l, 1728},
		})
	}
	p.Layers[11].FFN.Kept = 0
	return p
}
