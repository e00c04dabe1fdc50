package compiler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etc/fault"
	"etc/formats/plan"
)

func TestDefaultBuckets(t *testing.T) {
	for n, want := range map[int]string{
		1: "[1]", 31: "[31]", 32: "[32]", 33: "[32 33]", 130: "[32 64 128 130]", 256: "[32 64 128 256]", 512: "[32 64 128 256 512]", 514: "[32 64 128 256 512 514]",
	} {
		if got := fmt.Sprint(DefaultBuckets(n)); got != want {
			t.Errorf("DefaultBuckets(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestParseBuckets(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"32", "[32]"}, {"32,64,128", "[32 64 128]"}, {" 128 , 64,32", "[32 64 128]"}, {"7,7,7", "[7]"},
		{"32-512*2", "[32 64 128 256 512]"}, {"32-500*2", "[32 64 128 256 500]"}, {"16-64+16", "[16 32 48 64]"},
		{"16-60+16", "[16 32 48 60]"}, {"5-5*2", "[5]"}, {"10-30*3,12", "[10 12 30]"}, {"1048576", "[1048576]"},
		{"", ""}, {"0", ""}, {"-1", ""}, {"+1", ""}, {"x", ""}, {"32,", ""}, {",32", ""}, {"32-64", ""}, {"64-32*2", ""}, {"32-64*1", ""},
		{"32-64*0", ""}, {"32-64+0", ""}, {"32-64*-2", ""}, {"32-64+-1", ""}, {"32-64*2*2", ""}, {"1-1048576+1", ""}, {"1048577", ""},
		{"99999999999999999999", ""}, {"auto:rows.jsonl", ""}, {"3.5", ""}, {"0x10", ""}, {"1_0", ""},
	} {
		got, err := ParseBuckets(c.list)
		switch {
		case c.want == "" && fault.KindOf(err) != fault.Usage:
			t.Errorf("ParseBuckets(%q) = %v, %v; want a usage fault", c.list, got, err)
		case c.want != "" && (err != nil || fmt.Sprint(got) != c.want):
			t.Errorf("ParseBuckets(%q) = %v, %v; want %s", c.list, got, err, c.want)
		}
	}
}

// FuzzParseBuckets: any answer is a list that a model of its longest length takes.
func FuzzParseBuckets(f *testing.F) {
	for _, seed := range []string{"32,64", "32-512*2", "1-9+4", "1-1048576*1048576", "1-256+1,257-512+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		buckets, err := ParseBuckets(list)
		if err != nil {
			return
		}
		o := Options{Targets: Targets[:1], Buckets: buckets}
		if err := o.resolve(&plan.Model{MaxTokens: maxLength}); err != nil && len(buckets) <= maxBuckets {
			t.Errorf("ParseBuckets(%q) = %v, which is refused: %v", list, buckets, err)
		}
		var again []string
		for _, b := range buckets {
			again = append(again, fmt.Sprint(b))
		}
		if same, err := ParseBuckets(strings.Join(again, ",")); err != nil || !slices.Equal(same, buckets) {
			t.Errorf("%v read again is %v, %v", buckets, same, err)
		}
	})
}

func TestAutoBuckets(t *testing.T) {
	for _, c := range []struct {
		lengths []int
		most    int
		want    string
	}{
		{nil, 128, "[128]"},
		{[]int{10, 10, 10, 10}, 128, "[16 128]"},
		{[]int{70, 20, 40, 5}, 128, "[16 32 48 80 128]"},
		{[]int{500, 600}, 128, "[128]"},
		{[]int{0, 0}, 128, "[16 128]"},
		{[]int{3}, 7, "[7]"},
	} {
		if got := fmt.Sprint(AutoBuckets(c.lengths, c.most)); got != c.want {
			t.Errorf("AutoBuckets(%v, %d) = %s, want %s", c.lengths, c.most, got, c.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		lengths := make([]int, rng.IntN(50))
		for i := range lengths {
			lengths[i] = rng.IntN(300)
		}
		m := plan.Model{MaxTokens: 1 + rng.IntN(300)}
		o := Options{Targets: Targets[:1], Buckets: AutoBuckets(lengths, m.MaxTokens)}
		if err := o.resolve(&m); err != nil || o.Buckets[len(o.Buckets)-1] != m.MaxTokens {
			t.Fatalf("AutoBuckets(%v, %d) = %v: %v", lengths, m.MaxTokens, o.Buckets, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	many := make([]int, maxBuckets+1)
	for i := range many {
		many[i] = i + 1
	}
	for name, c := range map[string]struct {
		o    Options
		kind fault.Kind
	}{
		"target":          {Options{Targets: []string{"cpu:f32", "tpu:f16"}}, fault.Unsupported},
		"no target":       {Options{}, fault.Usage},
		"target twice":    {Options{Targets: []string{"cpu:f32", "cpu:f32"}}, fault.Usage},
		"negative budget": {Options{Targets: []string{"cpu:f32"}, MaxBatchTokens: -1}, fault.Usage},
		"huge budget":     {Options{Targets: []string{"cpu:f32"}, MaxBatchTokens: plan.MostBatchTokens + 1}, fault.Usage},
		"long bucket":     {Options{Targets: []string{"cpu:f32"}, Buckets: []int{32, 513}}, fault.Usage},
		"zero bucket":     {Options{Targets: []string{"cpu:f32"}, Buckets: []int{0, 32}}, fault.Usage},
		"descending":      {Options{Targets: []string{"cpu:f32"}, Buckets: []int{64, 32}}, fault.Usage},
		"twice":           {Options{Targets: []string{"cpu:f32"}, Buckets: []int{32, 32}}, fault.Usage},
		"many":            {Options{Targets: []string{"cpu:f32"}, Buckets: many}, fault.Usage},
	} {
		if err := c.o.resolve(&plan.Model{MaxTokens: 512}); fault.KindOf(err) != c.kind {
			t.Errorf("%s: error %v, want kind %d", name, err, c.kind)
		}
	}
}

// TestOptionsAreRecorded: what OptionsOf reads resolves to itself.
func TestOptionsAreRecorded(t *testing.T) {
	o := Options{Targets: []string{"cpu:f32"}, Buckets: []int{7, 40, 130}, MaxBatchTokens: 99, Version: "1"}
	back, _, err := OptionsOf(plan.Provenance{Version: "1", Flags: o.flags()})
	if err != nil || fmt.Sprint(back) != fmt.Sprint(o) {
		t.Errorf("%+v, %v; want %+v", back, err, o)
	}
	for _, f := range []plan.Flag{{Name: "colour", Value: "red"}, {Name: "max-batch-tokens", Value: "x"}, {Name: "seqlen-buckets", Value: "0"}} {
		if _, _, err := OptionsOf(plan.Provenance{Flags: []plan.Flag{f}}); fault.KindOf(err) != fault.Unfit {
			t.Errorf("%+v: error %v, want an unfit fault", f, err)
		}
	}
}
