package nvrtc

import (
	"os"
	"testing"
	"time"
)

// TestAnotherBuildOfTheLibrary: of one version there are several builds, which
// may make other code; what one made is not taken for the other's.
func TestAnotherBuildOfTheLibrary(t *testing.T) {
	cache := t.TempDir()
	c, asked := fake(t, cache)
	compile := func(c *Compiler) {
		t.Helper()
		if _, err := c.Compile([]Job{job("k", "1")}); err != nil {
			t.Fatal(err)
		}
	}
	compile(c)
	compile(c)
	before := asked()
	then := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(c.library, then, then); err != nil {
		t.Fatal(err)
	}
	other, err := Find(Options{Helper: c.helper, Library: c.library, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	compile(other)
	if got := asked(); before != 1 || got != before+2 { // its version, and the kernel
		t.Errorf("asked %d times for one build, %d times for another", before, got-before)
	}
}
