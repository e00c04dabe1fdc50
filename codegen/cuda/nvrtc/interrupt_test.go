package nvrtc

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// TestInterrupt: when the context ends, what compiles ends with its error and
// the helpers with it, at once, whatever they are doing.
func TestInterrupt(t *testing.T) {
	c, asked := fake(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	c.context = ctx
	start := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Compile([]Job{job("a", "hang"), job("b", "hang"), job("c", "hang"), job("d", "hang")})
		ended <- err
	}()
	for asked() < 1 && time.Since(start) < 10*time.Second {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want that of the context", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("what was interrupted goes on")
	}
	before := asked()
	if _, err := c.Compile([]Job{job("k", "1")}); !errors.Is(err, context.Canceled) || asked() != before {
		t.Errorf("%v; asked %d times after the end", err, asked()-before)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Find(Options{Helper: self, Library: c.library, Context: ctx}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that of the context", err)
	}
}
