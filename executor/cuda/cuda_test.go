//go:build cuda && linux && amd64

package cuda

import (
	"slices"
	"strings"
	"testing"

	"etc/executor/cuda/driver"
	"etc/executor/cuda/driver/drivertest"
	"etc/executor/gpu"
	"etc/fault"
)

func TestMain(m *testing.M) { drivertest.Main(m) }

// must returns what a call gave, where it gave no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// open opens the second of the two devices of the driver for tests.
func open(t *testing.T) gpu.Driver {
	t.Helper()
	d, err := Open(1)
	if err != nil {
		t.Fatal(err)
	}
	drivertest.Calls(t)
	return d
}

// mustGiveBack closes d, and fails t where something was kept.
func mustGiveBack(t *testing.T, d gpu.Driver) {
	t.Helper()
	drivertest.Calls(t)
	try(t, d.Close())
	if got := drivertest.Calls(t); !slices.Equal(got, []string{"release 1 live 0"}) {
		t.Errorf("on closing: %v", got)
	}
}

func TestWhatIsOpened(t *testing.T) {
	d := open(t)
	defer mustGiveBack(t, d)
	free, total := d.Memory()
	if d.Name() != "cuda:1 Fake 1" || d.SM() != 90 || free != 1900000 || total != 2000000 {
		t.Errorf("%s, sm %d, %d bytes free of %d", d.Name(), d.SM(), free, total)
	}
}

func TestNoSuchDevice(t *testing.T) {
	for _, number := range []int{-1, 2} {
		if _, err := Open(number); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "there are 0 to 1") {
			t.Errorf("device %d: %v", number, err)
		}
	}
}

func TestNoDevice(t *testing.T) {
	if drivertest.Apart(t, "FAKE_CUDA_DEVICES=0") {
		if _, err := Open(0); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no device") {
			t.Error(err)
		}
	}
}

func TestNoDriver(t *testing.T) {
	if drivertest.Apart(t, "FAKE_CUDA=none") {
		if _, err := Open(0); !Available() || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no NVIDIA driver") {
			t.Error(err)
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	d := open(t)
	defer mustGiveBack(t, d)
	_, err := d.Alloc("weights", 1900001)
	if want := "cuda: 1900001 bytes for weights, the device has 1900000 free of 2000000"; fault.KindOf(err) != fault.Memory || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = d.Staging(1 << 40)
	if fault.KindOf(err) != fault.Memory || !strings.HasSuffix(err.Error(), ", for 1099511627776 bytes of the host") {
		t.Errorf("staging: %v", err)
	}
}

func TestCodeThatDoesNotFit(t *testing.T) {
	d := open(t)
	defer mustGiveBack(t, d)
	_, err := d.Load([]byte("bad"), true)
	if fault.KindOf(err) != fault.Unfit || !strings.HasSuffix(err.Error(), ": line 1; syntax error") {
		t.Errorf("load: %v", err)
	}
	_, err = d.Load([]byte("new"), true)
	if fault.KindOf(err) != fault.Unfit || !strings.HasSuffix(err.Error(), "\nthe driver is of CUDA 12.9; a newer one takes this PTX") {
		t.Errorf("load of newer PTX: %v", err)
	}
	m := must(d.Load([]byte("k_p"), false))
	defer m.Close()
	if _, err := m.Function("other_p", 0); fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), "no kernel other_p") {
		t.Errorf("a kernel that is not there: %v", err)
	}
	if _, err := m.Function("k_p", 232449); fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "has 232448") {
		t.Errorf("more shared memory than there is: %v", err)
	}
}

// TestUpload: through both stages, several times over, of no round size, and
// there for every stream when it returns.
func TestUpload(t *testing.T) {
	d := open(t).(*device)
	defer mustGiveBack(t, d)
	for i := range d.stages {
		d.stages[i].bytes = d.stages[i].bytes[:1000]
	}
	want := make([]byte, 12345)
	for i := range want {
		want[i] = byte(i*7 + i>>8)
	}
	at := must(d.Alloc("weights", int64(len(want))))
	try(t, d.Upload(at, want))
	try(t, d.Upload(at, nil))
	host := must(d.Staging(len(want)))
	try(t, d.context.Do(func() error {
		if err := d.kernels.CopyOut(host, driver.Address(at)); err != nil {
			return err
		}
		return d.kernels.Synchronize()
	}))
	if !slices.Equal(host, want) {
		t.Error("what lies on the device is not what was uploaded")
	}
	try(t, d.FreeStaging(host))
	try(t, d.Free(at))
}

// TestMemoryThatMayNotMove: the device reads and writes transfers after Start.
func TestMemoryThatMayNotMove(t *testing.T) {
	d := open(t)
	own := []gpu.Transfer{{Host: make([]byte, 8)}}
	for what, f := range map[string]func(){
		"an upload":   func() { d.Start(0, gpu.Work{Upload: own}) },
		"a download":  func() { d.Start(0, gpu.Work{Download: own}) },
		"giving back": func() { d.FreeStaging(own[0].Host) },
	} {
		func() {
			defer func() {
				if r, _ := recover().(string); !strings.HasPrefix(r, "bug: executor/cuda: ") {
					t.Errorf("%s: recovered %q", what, r)
				}
			}()
			f()
		}()
	}
}
