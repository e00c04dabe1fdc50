package gpu

// An Address is one in device memory; 0 is none.
type Address uint64

// A Driver is one device that runs kernels: a GPU, or the simulator. It serves
// one goroutine at a time. Errors are of kind Memory where an allocation does
// not fit, Unfit where code does not load, else Internal.
type Driver interface {
	// Name says what it is, for records: "cuda:0 NVIDIA H200".
	Name() string
	// SM is the compute capability ten times over, such as 90; 0 for a device
	// that runs PTX and no machine code.
	SM() int
	// Memory is the bytes that are free and in all; 0, 0 where nothing is known.
	Memory() (free, total int64)

	// Alloc gives memory whose content is undefined, aligned to 256 bytes. The
	// name is for errors.
	Alloc(name string, bytes int64) (Address, error)
	Free(Address) error
	// Upload copies b to the device and returns when it is there.
	Upload(to Address, b []byte) error
	// Staging gives host memory that Work can transfer from and to at full
	// speed while the host does other things.
	Staging(bytes int) ([]byte, error)
	// FreeStaging takes it back, once no Work uses it.
	FreeStaging([]byte) error

	// Load loads machine code, or PTX.
	Load(image []byte, ptx bool) (Module, error)
	// Prepare makes operations ready to run as one, in order.
	Prepare([]Operation) (Sequence, error)

	// Start begins w in the given slot, 0 or 1, and may return before it is
	// done. Sequences of all slots run one after another, in the order of
	// Start; an upload may run beside the sequence of the other slot. A
	// sequence begins when all earlier downloads have ended.
	Start(slot int, w Work) error
	// Wait returns when what was started in the slot is done.
	Wait(slot int) error
	Close() error
}

// Slots is how many batches may be under way at once.
const Slots = 2

// A Module is loaded code.
type Module interface {
	// Function finds a kernel that is to be launched with that many bytes of
	// dynamic shared memory.
	Function(entry string, shared int) (Function, error)
	Close() error
}

// A Function is a kernel that can be launched. What it is, the driver knows.
type Function any

// An Operation is a launch, or a copy where Function is nil.
type Operation struct {
	Label string // the step and its operator, for errors and profiles
	Step  int    // index into the program's steps

	Function Function
	Grid     [3]int
	Threads  int
	Shared   int
	Args     []Arg

	To, From Address
	Bytes    int64
}

// An Arg is one argument of a kernel: its bits, in Size bytes, 4 or 8.
type Arg struct {
	Bits uint64
	Size int
}

// A Sequence is operations made ready. Close gives back what it holds.
type Sequence interface{ Close() error }

// Work is one batch: uploads, then the sequence, then downloads.
type Work struct {
	Upload   []Transfer
	Sequence Sequence
	Download []Transfer
}

// A Transfer is between host memory from Staging and the device.
type Transfer struct {
	Host   []byte
	Device Address
}
