package nvrtc

import (
	"fmt"
	"regexp"
	"strconv"

	"etc/fault"
)

// ptxas -v writes, for each function of machine code:
//
//	ptxas info    : Function properties for NAME
//	    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//	ptxas info    : Used 96 registers, used 1 barriers, 16 bytes smem, 456 bytes cmem[0]
var (
	registersPattern = regexp.MustCompile(`Used (\d+) registers`)
	spillsPattern    = regexp.MustCompile(`(\d+) bytes spill stores, (\d+) bytes spill loads`)
	sharedPattern    = regexp.MustCompile(`(\d+) bytes smem`)
)

// machineCode is a cubin with what ptxas told of it.
func machineCode(a *answer) (Code, error) {
	registers := registersPattern.FindStringSubmatch(a.Log)
	if registers == nil {
		return Code{}, fault.Newf(fault.Internal, "ptxas told nothing of registers: %s", firstLines(a.Log))
	}
	c := Code{Bytes: a.Code, Registers: number(registers[1])}
	for _, m := range spillsPattern.FindAllStringSubmatch(a.Log, -1) {
		c.Spills += number(m[1]) + number(m[2])
	}
	if m := sharedPattern.FindStringSubmatch(a.Log); m != nil {
		c.StaticShared = number(m[1])
	}
	return c, nil
}

// number is that of digits.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(fmt.Sprintf("bug: nvrtc: %v", err))
	}
	return n
}

// leastVersion is the version of PTX that all instructions of our kernels
// have: 7.1, of CUDA 11.1, brought mma.sp with the metadata order that sm_80
// takes and bf16. A driver refuses PTX that names a later version than its own,
// whatever is in it.
const leastVersion = "7.1"

var (
	versionPattern = regexp.MustCompile(`(?m)^\.version \d+\.\d+$`)
	// newer are instructions that version 7.1 has not. A kernel that uses one
	// keeps the version of its compiler.
	newer = regexp.MustCompile(`(?m)^\s*(@!?%p\d+\s+)?(mbarrier|wgmma|cp\.async\.bulk|cluster|elect\.sync|fence\.proxy|setmaxnreg|stmatrix|tensormap|mma\.sp::ordered_metadata|griddepcontrol|createpolicy|st\.async|redux\.sync\.\w+\.f32|cvt\.\w+\.(e4m3|e5m2))`)
)

// lowered is PTX that names the version its instructions need, so that drivers
// older than the compiler take it.
func lowered(ptx []byte) ([]byte, error) {
	at := versionPattern.FindIndex(ptx)
	if at == nil {
		return nil, fault.Newf(fault.Internal, "PTX names no version")
	}
	if newer.Match(ptx) {
		return ptx, nil
	}
	return append(append(append([]byte{}, ptx[:at[0]]...), ".version "+leastVersion...), ptx[at[1]:]...), nil
}

var filePattern = regexp.MustCompile(`(?m)^(\s*\.file\s+\d+\s+)".*/([^/"]+)"`)

// withoutFolders is PTX whose lines are those of files by their bare names.
// NVRTC puts the folder it runs in before them, and code must not depend on it.
func withoutFolders(ptx []byte) []byte { return filePattern.ReplaceAll(ptx, []byte(`${1}"${2}"`)) }
