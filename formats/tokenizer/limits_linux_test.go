package tokenizer

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// megabyte is a little more than keepSize.
const megabyte = 1<<20 + 1<<16

// longLines are the lines of one megabyte that were slow in other tokenizers.
func longLines() map[string]string {
	to := func(s string) string { return strings.Repeat(s, megabyte/len(s)) }
	random := make([]rune, 0, megabyte/3)
	r := rand.New(rand.NewPCG(1, 2))
	for range cap(random) {
		random = append(random, rune(r.IntN(0x110000)))
	}
	letters := []byte(to(" "))
	for i := range letters {
		letters[i] = byte('a' + r.IntN(26))
	}
	return map[string]string{
		"one word":       to("incomprehensibilities"),
		"random letters": string(letters),
		"a":              to("a"),
		"words of 100":   to(strings.Repeat("re", 50) + " "),
		"chinese":        to("日本語"),
		"hangul":         to("한국어"),
		"emoji":          to("👩‍👩‍👧‍👦"),
		"accents":        to("é"),
		"marks":          "a" + to("\u0301"),
		"ordered marks":  "a" + to("\u302e\U0001d165"),
		"spaces":         to(" ") + "x",
		"newlines":       to("\n \u2003") + "x",
		"punctuation":    to("!?"),
		"letters digits": to("a1"),
		"quotes":         to("'s'"),
		"added":          to("[MASK]"),
		"nearly added":   to("[MAS"),
		"controls":       to("\x00\x01"),
		"random":         string(random),
	}
}

// TestLongLines counts the processor time of the encoding thread, since the
// clock also counts what other processes took.
func TestLongLines(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, dir := range []string{tinyDir, gptDir} {
		tok := load(t, dir)
		for name, line := range longLines() {
			e := tok.NewEncoder()
			var got Encoding
			start := threadTime(t)
			if err := e.Encode(&got, line, nil, 0); err != nil {
				t.Fatal(err)
			}
			took := threadTime(t) - start
			t.Logf("%s: %s: %v, %d tokens", dir, name, took.Round(time.Millisecond), len(got.IDs))
			if took > time.Second {
				t.Errorf("%s: %s: %v for a megabyte, want less than a second", dir, name, took)
			}
			if most := max(cap(e.text), cap(e.norm), cap(e.a), cap(e.symbols), cap(e.queue), cap(e.marks)); most > keepSize {
				t.Errorf("%s: %s: the encoder keeps a buffer of %d, want at most %d", dir, name, most, keepSize)
			}
		}
	}
}

// TestLongWordMemory: a word of megabytes, which BPE merges as a whole, takes
// little more than its text, its ids and type ids, a list of symbols and a queue.
func TestLongWordMemory(t *testing.T) {
	const most = 2 + 3*4 + 4 + 8 + 2 // bytes for a byte: with some to spare
	tok := load(t, gptDir)
	for _, name := range []string{"one word", "random letters", "a"} {
		line := longLines()[name]
		var before, after runtime.MemStats
		var got Encoding
		runtime.ReadMemStats(&before)
		if err := tok.NewEncoder().Encode(&got, line, nil, 0); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		each := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(line))
		t.Logf("%s: %.1f bytes for each of the text, %d tokens", name, each, len(got.IDs))
		if each > most {
			t.Errorf("%s: %.1f bytes were allocated for each of the text, want at most %d", name, each, most)
		}
	}
}

// TestModelsRowsASecond: 50 000 rows of SST-2 train in a second of one thread's
// processor time, 100 000 on two cores. The best of five passes counts, because
// others share the caches.
func TestModelsRowsASecond(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const want = 50_000
	needShared(t)
	texts, _ := sst2(t)
	for _, model := range []string{"tiny-sst2", "all-MiniLM-L6-v2", "gpt2-wikitext"} {
		e := load(t, shared+"models/"+model).NewEncoder()
		var got Encoding
		best := 0.0
		for range 5 {
			start := threadTime(t)
			for _, text := range texts {
				if err := e.Encode(&got, text, nil, 128); err != nil {
					t.Fatal(err)
				}
			}
			best = max(best, float64(len(texts))/(threadTime(t)-start).Seconds())
		}
		t.Logf("%s: %.0f rows a second", model, best)
		if best < want {
			t.Errorf("%s: %.0f of %d rows a second, want %d", model, best, len(texts), want)
		}
	}
}

// threadTime is the processor time that this thread has used.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const rusageThread = 1 // RUSAGE_THREAD of getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBPEAgainstScan compares the heap with the definition of BPE, which
// merges the leftmost pair of the lowest rank until there is none, on long random words.
func TestBPEAgainstScan(t *testing.T) {
	tok := load(t, gptDir)
	e := tok.NewEncoder()
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		word := make([]byte, 1+r.IntN(200))
		for i := range word {
			word[i] = "aeinorst"[r.IntN(8)]
		}
		if got, want := e.appendBPE(nil, word), scanBPE(tok, word); !slices.Equal(got, want) {
			t.Fatalf("%s:\n got %v\nwant %v", word, got, want)
		}
	}
}

// TestRandomBPEAgainstScan does so with random merges of few letters, where
// nearly all that can be merged is.
func TestRandomBPEAgainstScan(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		tok := &Tokenizer{}
		for b := range tok.def.byteID {
			tok.def.byteID[b] = int32(b & 1)
		}
		known := map[[2]int32]bool{}
		for id := int32(2); id < 30; id++ { // of what came before
			pair := [2]int32{r.Int32N(id), r.Int32N(id)}
			if !known[pair] {
				known[pair] = true
				tok.def.merges = append(tok.def.merges, merge{pair[0], pair[1], id})
			}
		}
		tok.makeMerges()
		e := tok.NewEncoder()
		for range 20 {
			word := make([]byte, r.IntN(60))
			for i := range word {
				word[i] = byte(r.IntN(2))
			}
			if got, want := e.appendBPE(nil, word), scanBPE(tok, word); !slices.Equal(got, want) {
				t.Fatalf("%v by %v:\n got %v\nwant %v", word, tok.def.merges, got, want)
			}
		}
	}
}

func scanBPE(tok *Tokenizer, word []byte) (ids []int32) {
	for _, b := range word {
		ids = append(ids, tok.def.byteID[b])
	}
	for {
		best, at := int32(len(tok.def.merges)), -1
		for i := range len(ids) - 1 {
			if rank, ok := tok.merges.get(pairKey(ids[i], ids[i+1])); ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = tok.def.merges[best].result
		ids = slices.Delete(ids, at+1, at+2)
	}
}

func TestNoAllocationPerRow(t *testing.T) {
	pair := "Zürich, again and again [SEP] don't"
	for _, dir := range []string{tinyDir, gptDir} {
		e := load(t, dir).NewEncoder()
		var got Encoding
		encode := func() {
			if err := e.Encode(&got, "The quick brown fox, naïve café 日本 "+"jumps", &pair, 32); err != nil {
				t.Fatal(err)
			}
		}
		encode()
		if n := testing.AllocsPerRun(100, encode); n != 0 {
			t.Errorf("%s: %v allocations a row, want none", dir, n)
		}
	}
}

// TestTableHoldsAll fills a table far past its first size, with keys that share low or high bits.
func TestTableHoldsAll(t *testing.T) {
	tab := newTable(0)
	const n = 50000
	for i := range uint64(n) {
		tab.set(i<<32, int32(i))
		tab.set(i, int32(i)+1)
	}
	for i := range uint64(n) {
		high, okHigh := tab.get(i << 32)
		low, okLow := tab.get(i)
		if i > 0 && (!okHigh || high != int32(i)) || !okLow || low != int32(i)+1 {
			t.Fatalf("key %d: %d %v, %d %v", i, high, okHigh, low, okLow)
		}
	}
	if _, ok := tab.get(n); ok || tab.used != 2*n-1 {
		t.Errorf("a key that was never set is there: %v; %d used", ok, tab.used)
	}
}
