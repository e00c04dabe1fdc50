package ptxsim_test

import (
	"fmt"
	"math/rand"
	"testing"
)

// shuffle is "Data Movement and Conversion Instructions: shfl.sync": the lane
// that lane takes its value from, and whether the one computed was in range.
func shuffle(mode string, lane, b, c int) (source int, inRange bool) {
	value, clamp, segment := b&31, c&31, c>>8&31
	most := lane&segment | clamp&^segment
	least := lane & segment
	var j int
	switch mode {
	case "up":
		j = lane - value
		inRange = j >= most
	case "down":
		j = lane + value
		inRange = j <= most
	case "bfly":
		j = lane ^ value
		inRange = j <= most
	case "idx":
		j = least | value&^segment
		inRange = j <= most
	}
	if !inRange {
		j = lane
	}
	return j, inRange
}

// shuffled is what a warp of records (value, b) leaves, two words a lane.
func shuffled(mode string, records []uint32, c int, rule func(mode string, lane, b, c int) (int, bool)) []uint32 {
	var want []uint32
	for lane := range warp {
		source, inRange := rule(mode, lane, int(records[2*lane+1]), c)
		flag := uint32(0)
		if inRange {
			flag = 1
		}
		want = append(want, records[2*source&63], flag)
	}
	return want
}

// clamps are operands c: of CUDA for widths of 32, 16, 8, 4, 2 and 1 (the
// clamp is 0 for up and 31 otherwise), and some that only PTX can write.
func clamps(mode string) []int {
	var c []int
	for _, width := range []int{32, 16, 8, 4, 2, 1} {
		clamp := 31
		if mode == "up" {
			clamp = 0
		}
		c = append(c, (32-width)<<8|clamp)
	}
	return append(c, 0x0f, 0x1803, 0x0c05, 0x100c, 0x1f00, 0x1f1f)
}

func TestManualShuffle(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	for _, mode := range []string{"up", "down", "bfly", "idx"} {
		seen := map[string]int{}
		for _, c := range clamps(mode) {
			body := fmt.Sprintf("\tshfl.sync.%s.b32 %%o0|%%p1, %%i0, %%i1, %d, -1;\n\tselp.u32 %%o1, 1, 0, %%p1;\n", mode, c)
			p := program{in: 2, out: 2, body: body}
			for b := range 40 { // beyond 31 only the low 5 bits count
				records := randomWords(r, 2*warp)
				for lane := range warp {
					records[2*lane+1] = uint32(b)
					if b > 36 { // each lane its own
						records[2*lane+1] = uint32(r.Intn(64))
					}
				}
				got := p.run(t, records)
				for i, w := range shuffled(mode, records, c, shuffle) {
					if got[i] != w {
						t.Fatalf("shfl.%s b %d c %#x: lane %d word %d is %#x, by the manual %#x", mode, b, c, i/2, i%2, got[i], w)
					}
				}
				for name, rule := range wrongShuffles {
					for i, w := range shuffled(mode, records, c, rule) {
						if got[i] != w {
							seen[name]++
							break
						}
					}
				}
			}
		}
		for name := range wrongShuffles {
			if seen[name] == 0 && name != "not "+mode {
				t.Errorf("shfl.%s: nothing here tells the manual from %q", mode, name)
			}
		}
	}
}

// wrongShuffles are misreadings; "not MODE" is none for that mode.
var wrongShuffles = map[string]func(string, int, int, int) (int, bool){
	"clamp and segment exchanged": func(mode string, lane, b, c int) (int, bool) {
		return shuffle(mode, lane, b, c&31<<8|c>>8&31)
	},
	"no segment": func(mode string, lane, b, c int) (int, bool) { return shuffle(mode, lane, b, c&31) },
	"the next lane when out of range": func(mode string, lane, b, c int) (int, bool) {
		source, inRange := shuffle(mode, lane, b, c)
		if !inRange {
			source = (lane + 1) % warp
		}
		return source, inRange
	},
	"not up": func(mode string, lane, b, c int) (int, bool) {
		return shuffle(map[string]string{"up": "up", "down": "up", "bfly": "down", "idx": "bfly"}[mode], lane, b, c)
	},
}

// All of b, c and the mask may be registers, or immediates; lanes outside the
// mask take no part.
func TestManualShuffleOperands(t *testing.T) {
	records := randomWords(rand.New(rand.NewSource(10)), 2*warp)
	registers := program{in: 2, out: 2, body: "\tmov.u32 %r10, 16;\n\tmov.u32 %r11, 31;\n\tmov.u32 %r12, -1;\n" +
		"\tshfl.sync.bfly.b32 %o0|%p1, %i0, %r10, %r11, %r12;\n\tselp.u32 %o1, 1, 0, %p1;\n"}
	immediates := program{in: 2, out: 2, body: "\tshfl.sync.bfly.b32 %o0, %i0, 16, 31, -1;\n\tmov.u32 %o1, 1;\n"}
	for _, p := range []program{registers, immediates} {
		got := p.run(t, records)
		for lane := range warp {
			if got[2*lane] != records[2*(lane^16)] || got[2*lane+1] != 1 {
				t.Errorf("lane %d has %#x from bfly 16", lane, got[2*lane])
			}
		}
	}
	part := program{in: 2, out: 1, body: "\tmov.u32 %o0, 7;\n\tsetp.gt.u32 %p2, %r0, 15;\n\t@%p2 bra $L__done;\n" +
		"\tshfl.sync.down.b32 %o0|%p1, %i0, 3, 4127, 65535;\n$L__done:\n"} // width 16, lanes 0 to 15
	got := part.run(t, records)
	for lane := range warp {
		want := uint32(7)
		if lane < 16 {
			source, _ := shuffle("down", lane, 3, 4127)
			want = records[2*source]
		}
		if got[lane] != want {
			t.Errorf("lane %d of half a warp has %#x, want %#x", lane, got[lane], want)
		}
	}
}
