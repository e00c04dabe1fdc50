package kernels

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etc/executor/ptxsim"
	"etc/fault"
	"etc/formats/plan/launch"
)

// mutantSteps bounds what a warp of a mutant runs: no case comes near it.
const mutantSteps = 1 << 17

// A trial is a case, and what it is good for.
type trial struct {
	testCase
	takes time.Duration
	runs  map[int]bool // lines of the PTX, from 0, that it executes
	kills int
}

// A jury is the cases of one kernel.
type jury struct {
	entry string
	lines []string // of the kernel's PTX
	mutex sync.Mutex
	all   []*trial
}

// newJury runs every case of a kernel as it is, to see what it executes. A
// kernel that fails one has no jury.
func newJury(t *testing.T, k launch.Kernel) *jury {
	t.Helper()
	ptx, err := goldenPTX(k.Entry())
	if err != nil {
		t.Error(err)
		return nil
	}
	j := &jury{entry: k.Entry(), lines: strings.Split(string(ptx), "\n")}
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		t.Error(err)
		return nil
	}
	for _, s := range suites {
		for _, c := range s.cases() {
			if c.Kernel.Entry() != j.entry {
				continue
			}
			x := &trial{testCase: c, runs: map[int]bool{}}
			began := time.Now()
			if err := c.Run(m, ptxsim.Options{Steps: mutantSteps, Launched: x.watch}); err != nil {
				t.Errorf("%s: %v", c.Name, err)
				return nil
			}
			x.takes = time.Since(began)
			j.all = append(j.all, x)
		}
	}
	return j
}

// watch notes what a launch executed. A branch that no thread takes is executed
// too: its mutant takes it.
func (x *trial) watch(_ *ptxsim.Kernel, covers []ptxsim.Cover) {
	for _, c := range covers {
		if c.Runs > 0 || c.Passed {
			x.runs[c.PTXLine-1] = true
		}
	}
}

// able are the trials for a mutant: those that execute its instruction, and of
// one that asks another condition also those that come to it and pass it by.
// Those that kill much in little time come first. There are none where no trial
// executes the instruction.
func (j *jury) able(m mutant) []*trial {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	passes := j.passes(m)
	var able []*trial
	executed := false
	for _, x := range j.all {
		executed = executed || x.runs[m.line]
		if x.runs[m.line] || x.runs[passes] {
			able = append(able, x)
		}
	}
	if !executed {
		return nil
	}
	slices.SortStableFunc(able, func(a, b *trial) int {
		return cmp.Compare(a.takes*time.Duration(1+b.kills), b.takes*time.Duration(1+a.kills))
	})
	return able
}

// passes is the line of the instruction before one with a condition, if what
// executes that comes to this: the cover of a line counts where its condition
// holds. It is -1 where there is none.
func (j *jury) passes(m mutant) int {
	if found := instructionPattern.FindStringSubmatch(j.lines[m.line]); m.kind != predicate || found == nil || found[1] == "" {
		return -1
	}
	for i := m.line - 1; i >= 0; i-- {
		if strings.HasPrefix(strings.TrimSpace(j.lines[i]), "$") {
			return -1 // a label
		}
		if found := instructionPattern.FindStringSubmatch(j.lines[i]); found != nil {
			if found[1] != "" {
				return -1
			}
			return i
		}
	}
	return -1
}

// A verdict is what became of a mutant.
type verdict uint8

const (
	noPTX    verdict = iota // the simulator does not take it for PTX
	unseen                  // no case executes the instruction
	killed                  // a case fails
	survives                // none does
)

// try runs a mutant with warps and blocks in both orders: what a block writes for
// another shows only where it comes later. One that changes what orders threads
// and copies is run in all modes.
func (j *jury) try(m mutant) verdict {
	module, err := ptxsim.Parse(m.in(j.lines))
	if err != nil || len(module.Entries()) != 1 {
		return noPTX
	}
	able := j.able(m)
	if len(able) == 0 {
		return unseen
	}
	ways := modes[:2]
	if m.kind == synchronisation {
		ways = modes
	}
	for _, o := range ways {
		o.Steps = mutantSteps
		for _, x := range able {
			if x.fails(module, o) {
				j.mutex.Lock()
				x.kills++
				j.mutex.Unlock()
				return killed
			}
		}
	}
	return survives
}

// fails runs the case. What a mutant leaves behind may be too strange for it.
func (x *trial) fails(m *ptxsim.Module, o ptxsim.Options) (failed bool) {
	defer func() { failed = recover() != nil || failed }()
	return x.Run(m, o) != nil
}

// tryAll gives the verdict on each mutant of a list.
func (j *jury) tryAll(list []mutant, workers int) []verdict {
	verdicts := make([]verdict, len(list))
	var mutex sync.Mutex
	next := 0
	take := func() int {
		mutex.Lock()
		defer mutex.Unlock()
		next++
		return next - 1
	}
	fault.Parallel(workers, func(int) {
		for i := take(); i < len(list); i = take() {
			verdicts[i] = j.try(list[i])
		}
	})
	return verdicts
}

func (v verdict) String() string {
	return [...]string{"no PTX", "unseen", "killed", "survives"}[v]
}

// A tally counts the mutants of a kernel or a family.
type mutantTally struct{ mutants, executed, killed, equivalent, synchronisation int }

func (a *mutantTally) add(b mutantTally) {
	a.mutants += b.mutants
	a.executed += b.executed
	a.killed += b.killed
	a.equivalent += b.equivalent
	a.synchronisation += b.synchronisation
}

// share is the part killed of the executed mutants that can be.
func (a mutantTally) share() float64 {
	if a.executed == a.equivalent {
		return 1
	}
	return float64(a.killed) / float64(a.executed-a.equivalent)
}

func (a mutantTally) String() string {
	return fmt.Sprintf("%d mutants, %d executed (%d of synchronisation), %d killed, %d equivalent, %d live: %.1f %%",
		a.mutants, a.executed, a.synchronisation, a.killed, a.equivalent, a.executed-a.killed-a.equivalent, 100*a.share())
}
