//go:build cuda && linux && amd64

package driver

import (
	"debug/elf"
	"os"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/cu"

	"etc/executor/cuda/driver/drivertest"
	"etc/fault"
)

func TestMain(m *testing.M) { drivertest.Main(m) }

// open opens the driver for tests and its first device.
func open(t *testing.T) *Context {
	t.Helper()
	if err := Open(); err != nil {
		t.Fatal(err)
	}
	c, err := NewContext(0)
	if err != nil {
		t.Fatal(err)
	}
	drivertest.Calls(t)
	return c
}

// TestNothingOfNVIDIAIsLinked: such a program starts wherever there is a libc.
func TestNothingOfNVIDIAIsLinked(t *testing.T) {
	f, err := elf.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if want := []string{"libc.so.6"}; err != nil || !slices.Equal(libraries, want) {
		t.Errorf("needs %v (%v), want %v", libraries, err, want)
	}
	exported, err := f.DynamicSymbols()
	for _, s := range exported {
		if s.Name == "cuInit" || s.Name == "cuMemAlloc_v2" {
			t.Errorf("exports %s, which the driver's library may take for its own", s.Name)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func TestWithoutDriver(t *testing.T) {
	if !drivertest.Apart(t, "FAKE_CUDA=none") {
		return
	}
	for range 2 {
		err := Open()
		if fault.KindOf(err) != fault.Unavailable || !strings.HasPrefix(err.Error(), "cuda: no NVIDIA driver: ") {
			t.Errorf("Open: %v", err)
		}
		if _, err := Count(); fault.KindOf(err) != fault.Unavailable || Code(err) != int(cu.NotInitialized) {
			t.Errorf("Count: %v", err)
		}
	}
}

// TestNothingIsLoadedBeforeOpen: gorgonia.org/cu has called cuInit by now.
func TestNothingIsLoadedBeforeOpen(t *testing.T) {
	if !drivertest.Apart(t, "FAKE_CUDA_DEVICES=3") {
		return
	}
	if n, err := Count(); Code(err) != int(cu.NotInitialized) {
		t.Errorf("%d devices, %v before Open", n, err)
	}
	if err := Open(); err != nil {
		t.Fatal(err)
	}
	if n, err := Count(); n != 3 || err != nil {
		t.Errorf("%d devices, %v after Open", n, err)
	}
	if got := drivertest.Calls(t); !slices.Equal(got, []string{"init 0"}) {
		t.Errorf("calls %v, want one init", got)
	}
}

func TestDriverThatDoesNotStart(t *testing.T) {
	if !drivertest.Apart(t, "FAKE_CUDA_INIT=999") {
		return
	}
	if err := Open(); fault.KindOf(err) != fault.Unavailable || Code(err) != 999 {
		t.Errorf("Open: %v", err)
	}
}

// TestArgumentsPassUnchanged: in registers of both kinds, on the stack, and
// through pointers.
func TestArgumentsPassUnchanged(t *testing.T) {
	open(t)
	if err := (cu.TexRef{}).SetMipmapLevelClamp(1.5, -2.25); err != nil {
		t.Error(err)
	}
	if err := cu.MemsetD2D8Async(0xabcdef0123, 1<<33, 200, 5, 1<<40, cu.NoStream); err != nil {
		t.Error(err)
	}
	at, pitch, err := cu.MemAllocPitch(1<<34, 3, 16)
	if at != 0x123456789a || pitch != 77 || err != nil {
		t.Errorf("%x, %d, %v", at, pitch, err)
	}
	want := []string{
		"clamp (nil) 1.5 -2.25",
		"memset abcdef0123 8589934592 200 5 1099511627776 (nil)",
		"pitch 17179869184 3 16",
	}
	if got := drivertest.Calls(t); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDevice(t *testing.T) {
	c := open(t)
	if c.Name != "Fake 0" || c.SM != 90 || c.SMs != 132 || c.Shared != 232448 {
		t.Errorf("%s: sm %d, %d multiprocessors, %d bytes of shared memory", c.Name, c.SM, c.SMs, c.Shared)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestFunctionThatThisDriverLacks(t *testing.T) {
	open(t)
	if err := cu.Synchronize(); err != cu.NotFound {
		t.Errorf("%v, want %v", err, cu.NotFound)
	}
}

// TestLaunch: a launch has eleven arguments of its own, and each of the
// kernel's is read in the size that the kernel declares.
func TestLaunch(t *testing.T) {
	c := open(t)
	err := c.Do(func() error {
		m, err := LoadModule([]byte("two_piif"))
		if err != nil {
			return err
		}
		defer m.Unload()
		f, err := m.Function("two_piif")
		if err != nil {
			return err
		}
		s, err := NewStream()
		if err != nil {
			return err
		}
		defer s.Destroy()
		return s.Launch(f, [3]int{7, 65535, 3}, 256, 49152, []uint64{1<<47 | 1, 0xffffffff, 5, 0x3fc00000})
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"stream 1", "launch two_piif grid 7 65535 3 block 256 1 1 shared 49152 extra 0 args 800000000001 ffffffff 5 3fc00000", "release 0 live 0"}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := drivertest.Calls(t); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestKinds: whose fault an answer of the driver is.
func TestKinds(t *testing.T) {
	open(t)
	for code, want := range map[int]fault.Kind{
		2: fault.Memory, 3: fault.Unavailable, 100: fault.Unavailable, 803: fault.Unavailable,
		209: fault.Unfit, 218: fault.Unfit, 222: fault.Unfit, 1: fault.Internal, 700: fault.Internal,
	} {
		if got := kindOf(code); got != want {
			t.Errorf("code %d: kind %d, want %d", code, got, want)
		}
	}
	if got, want := failure("cuX", 700).Error(), "cuda: cuX: an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := failure("cuX", 12345).Error(), "cuda: cuX: error 12345"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := check("cuX", cu.InvalidPtx); fault.KindOf(err) != fault.Unfit || Code(err) != 218 {
		t.Errorf("%v, code %d", err, Code(err))
	}
}
