package gpu

// A Recorder is a Driver that runs nothing: it notes what a card would be
// given. --emit-cuda writes a program from it.
type Recorder struct {
	Allocations []Allocation // in the order of their addresses
	Work        Work         // what was started last
	Operations  []Operation  // its sequence; a Function is the name of the kernel
	sm          int
}

// An Allocation is memory that was asked for, and what was uploaded to it.
type Allocation struct {
	Name  string
	At    Address
	Bytes int64
	Data  []byte // nil: nothing
}

// NewRecorder is a card of that compute capability.
func NewRecorder(sm int) *Recorder { return &Recorder{sm: sm} }

// Find is the allocation that an address lies in, and where in it.
func (r *Recorder) Find(a Address) (index int, offset int64, ok bool) {
	for i, m := range r.Allocations {
		if a >= m.At && a < m.At+Address(m.Bytes) {
			return i, int64(a - m.At), true
		}
	}
	return 0, 0, false
}

func (r *Recorder) Name() string                  { return "recorder" }
func (r *Recorder) SM() int                       { return r.sm }
func (r *Recorder) Memory() (free, total int64)   { return 0, 0 }
func (r *Recorder) Free(Address) error            { return nil }
func (r *Recorder) Staging(n int) ([]byte, error) { return make([]byte, n), nil }
func (r *Recorder) FreeStaging([]byte) error      { return nil }
func (r *Recorder) Wait(int) error                { return nil }
func (r *Recorder) Close() error                  { return nil }

func (r *Recorder) Alloc(name string, bytes int64) (Address, error) {
	at := Address(blockAlign)
	if n := len(r.Allocations); n > 0 {
		last := r.Allocations[n-1]
		at = (last.At + Address(last.Bytes) + blockAlign) &^ (blockAlign - 1)
	}
	r.Allocations = append(r.Allocations, Allocation{Name: name, At: at, Bytes: bytes})
	return at, nil
}

func (r *Recorder) Upload(to Address, b []byte) error {
	if i, _, ok := r.Find(to); ok {
		r.Allocations[i].Data = b
	}
	return nil
}

// Load is not called: a kernel is its name.
func (r *Recorder) Load([]byte, bool) (Module, error) {
	panic("bug: executor/gpu: a recorder loads no code")
}

func (r *Recorder) function(entry string) Function { return entry }

type recordedSequence []Operation

func (recordedSequence) Close() error { return nil }

func (r *Recorder) Prepare(ops []Operation) (Sequence, error) { return recordedSequence(ops), nil }

func (r *Recorder) Start(_ int, w Work) error {
	r.Work, r.Operations = w, w.Sequence.(recordedSequence)
	return nil
}
