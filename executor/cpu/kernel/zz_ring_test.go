package kernel

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"etc/formats/plan/layout"
)

func TestZZRing(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	tab := For(Best())
	mb, _ := strconv.Atoi(os.Getenv("ZZ"))
	for _, s := range [][2]int{{1152, 384}, {384, 1536}, {2304, 768}, {768, 3072}, {3072, 768}} {
		for _, rows := range []int{16, 32, 128} {
			p := newBenchProduct(rows, s[0], s[1], 0)
			size := layout.PanelBytes(p.n, p.k)
			out := fmt.Sprintf("%dx%d T%d:", s[0], s[1], rows)
			for _, kind := range []string{"cache", "4k", "huge"} {
				n := max(2, mb<<20/size)
				if kind == "cache" {
					n = 1
				}
				mem, err := syscall.Mmap(-1, 0, n*size+4<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
				if err != nil {
					t.Fatal(err)
				}
				off := (2<<20 - int(uintptr(unsafe.Pointer(&mem[0]))%(2<<20))) % (2 << 20)
				m := mem[off:]
				adv := 15
				if kind != "huge" {
					adv = 14
				}
				syscall.Madvise(m[:n*size/4096*4096], adv)
				var ring []layout.Panels
				src := unsafe.Slice((*byte)(unsafe.Pointer(&p.panels.Values[0])), size)
				for i := range n {
					b := m[i*size : (i+1)*size]
					copy(b, src)
					q := p.panels
					q.Values = unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), size/4)
					ring = append(ring, q)
				}
				var ts []time.Duration
				step := max(3, layout.Blocks(p.n)/8/3*3)
				end := time.Now().Add(700 * time.Millisecond)
				for i := 0; time.Now().Before(end); i++ {
					st := time.Now()
					for f := 0; f < layout.Blocks(p.n); f += step {
						tab.Dense(&p.linear, ring[i%n], f, min(f+step, layout.Blocks(p.n)))
					}
					ts = append(ts, time.Since(st))
				}
				slices.Sort(ts)
				out += fmt.Sprintf("  %s %.0f (best %.0f)", kind, 2*float64(rows*p.n*p.k)/float64(ts[len(ts)/2]), 2*float64(rows*p.n*p.k)/float64(ts[len(ts)/50]))
				syscall.Munmap(mem)
			}
			fmt.Println(out)
		}
	}
}
