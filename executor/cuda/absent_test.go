//go:build !(cuda && linux && amd64)

package cuda

import (
	"testing"

	"etc/fault"
)

func TestAbsent(t *testing.T) {
	if _, err := Open(0); Available() || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("available %v, Open: %v", Available(), err)
	}
}
