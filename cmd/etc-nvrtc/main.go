// Command etc-nvrtc compiles CUDA with NVRTC, which needs no GPU. It is a
// program of its own because it is linked to the system's loader, which etc is
// not, and because what crashes or hangs in NVRTC then ends this process only.
//
// It takes the path of the library, reads requests from standard input, one
// JSON object a line, and answers each with one on standard output; package
// codegen/cuda/nvrtc has both. It ends at the end of its input.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A request asks for code of one source. Without a source it asks for the version.
type request struct {
	Name    string   `json:"name"`
	Source  string   `json:"source"`
	Options []string `json:"options"`
	PTX     bool     `json:"ptx"`
}

// An answer is code and NVRTC's log, or what went wrong.
type answer struct {
	Version string `json:"version,omitempty"`
	Code    []byte `json:"code,omitempty"`
	Log     string `json:"log,omitempty"`
	Error   string `json:"error,omitempty"`
}

// A library is NVRTC, with the functions that are used.
type library struct {
	version func(major, minor *int32) int32
	create  func(p *uintptr, source, name string, headers int32, texts, names uintptr) int32
	compile func(p uintptr, n int32, options **byte) int32
	destroy func(p *uintptr) int32
	errors  func(code int32) string
	size    map[string]func(p uintptr, n *uintptr) int32
	get     map[string]func(p uintptr, b *byte) int32
}

// The parts of a compiled program, as the names of functions end.
const (
	machineCode = "CUBIN"
	text        = "PTX"
	programLog  = "ProgramLog"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: etc-nvrtc LIBRARY < requests; etc calls it")
		os.Exit(2)
	}
	lib, err := open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(6)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if in.Decode(&r) != nil {
			return
		}
		if out.Encode(lib.answer(&r)) != nil {
			os.Exit(1)
		}
	}
}

// open loads NVRTC. What it opens itself later lies beside it, where the loader
// does not look by itself in the wheels of CUDA 13: it is loaded first.
func open(path string) (*library, error) {
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "libnvrtc-builtins.so.*"))
	for _, b := range beside {
		purego.Dlopen(b, purego.RTLD_NOW|purego.RTLD_GLOBAL) // NVRTC says so where it misses it
	}
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	l := &library{size: map[string]func(uintptr, *uintptr) int32{}, get: map[string]func(uintptr, *byte) int32{}}
	purego.RegisterLibFunc(&l.version, h, "nvrtcVersion")
	purego.RegisterLibFunc(&l.create, h, "nvrtcCreateProgram")
	purego.RegisterLibFunc(&l.compile, h, "nvrtcCompileProgram")
	purego.RegisterLibFunc(&l.destroy, h, "nvrtcDestroyProgram")
	purego.RegisterLibFunc(&l.errors, h, "nvrtcGetErrorString")
	for _, part := range []string{machineCode, text, programLog} {
		var size func(uintptr, *uintptr) int32
		var get func(uintptr, *byte) int32
		purego.RegisterLibFunc(&size, h, "nvrtcGet"+part+"Size")
		purego.RegisterLibFunc(&get, h, "nvrtcGet"+part)
		l.size[part], l.get[part] = size, get
	}
	return l, nil
}

func (l *library) answer(r *request) *answer {
	if r.Source == "" {
		var major, minor int32
		l.version(&major, &minor)
		return &answer{Version: fmt.Sprintf("%d.%d", major, minor)}
	}
	var p uintptr
	if code := l.create(&p, r.Source, r.Name, 0, 0, 0); code != 0 {
		return &answer{Error: l.errors(code)}
	}
	defer l.destroy(&p)
	options := make([]*byte, 0, len(r.Options)+1)
	for _, o := range r.Options {
		options = append(options, unsafe.StringData(o+"\x00"))
	}
	failed := l.compile(p, int32(len(r.Options)), unsafe.SliceData(options))
	a := &answer{Log: string(l.part(p, programLog))}
	if failed != 0 {
		a.Error = l.errors(failed)
		return a
	}
	form := machineCode
	if r.PTX {
		form = text
	}
	if a.Code = l.part(p, form); len(a.Code) == 0 {
		a.Error = "NVRTC gave no " + form
	}
	return a
}

// part is what get of that name gives; texts lose the zero that ends them.
func (l *library) part(p uintptr, name string) []byte {
	var n uintptr
	if l.size[name](p, &n) != 0 || n == 0 {
		return nil
	}
	b := make([]byte, n)
	if l.get[name](p, &b[0]) != 0 {
		return nil
	}
	if name != machineCode && b[n-1] == 0 {
		b = b[:n-1]
	}
	return b
}
