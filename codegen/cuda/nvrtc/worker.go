package nvrtc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"etc/fault"
)

// A request and an answer are those of cmd/etc-nvrtc.
type request struct {
	Name    string   `json:"name"`
	Source  string   `json:"source"`
	Options []string `json:"options"`
	PTX     bool     `json:"ptx"`
}

type answer struct {
	Version string `json:"version"`
	Code    []byte `json:"code"`
	Log     string `json:"log"`
	Error   string `json:"error"`
}

// A worker is one helper, started when there is something to do and again
// after it has crashed.
type worker struct {
	compiler *Compiler
	process  *exec.Cmd
	in       io.WriteCloser
	out      *json.Decoder
	errors   bytes.Buffer // what the helper writes on standard error
}

// compile gives one job to the helper.
func (w *worker) compile(j *Job) (Code, error) {
	a, err := w.ask(&request{Name: j.Name + ".cu", Source: j.Source, Options: j.options(), PTX: j.PTX})
	switch {
	case err != nil:
		return Code{}, err
	case a.Error != "":
		return Code{}, fault.Newf(fault.Internal, "%s: %s", a.Error, firstLines(a.Log))
	case j.PTX:
		ptx, err := lowered(withoutFolders(a.Code))
		return Code{Bytes: ptx}, err
	}
	return machineCode(a)
}

// ask sends a request and waits for the answer, no longer than the timeout and
// until the context ends.
func (w *worker) ask(r *request) (*answer, error) {
	if w.process == nil {
		if err := w.start(); err != nil {
			return nil, err
		}
	}
	process := w.process.Process
	var a answer
	talk := fault.Go(func() error {
		if err := json.NewEncoder(w.in).Encode(r); err != nil {
			return err
		}
		return w.out.Decode(&a)
	})
	var hung atomic.Bool
	timer := time.AfterFunc(w.compiler.timeout, func() {
		hung.Store(true)
		process.Kill()
	})
	ended := context.AfterFunc(w.compiler.context, func() { process.Kill() })
	err := talk.Wait()
	timer.Stop()
	ended()
	if err == nil {
		return &a, nil
	}
	how := w.stop()
	if hung.Load() {
		return nil, fault.Newf(fault.Internal, "the helper gave no answer in %v and was stopped", w.compiler.timeout)
	}
	why := firstLines(w.errors.String())
	if why == "" {
		why = err.Error()
	}
	if how != nil {
		return nil, fault.Newf(fault.Internal, "the helper crashed (%w): %s", how, why)
	}
	return nil, fault.Newf(fault.Internal, "the helper did not answer as it should: %s", why)
}

func (w *worker) start() error {
	w.process = exec.Command(w.compiler.helper, w.compiler.library)
	w.errors.Reset()
	w.process.Stderr = &w.errors
	// NVRTC from 12.9 on keeps code of its own where a driver is, and what it
	// gives from there comes without ptxas's words on registers.
	w.process.Env = append(os.Environ(), "CUDA_CACHE_DISABLE=1")
	// An interrupt at the terminal is for this process, which ends its helpers.
	w.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, inErr := w.process.StdinPipe()
	out, outErr := w.process.StdoutPipe()
	err := errors.Join(inErr, outErr)
	if err == nil {
		err = w.process.Start()
	}
	if err != nil {
		w.process = nil
		return fault.Newf(fault.Internal, "helper %s: %w", w.compiler.helper, err)
	}
	w.in, w.out = in, json.NewDecoder(out)
	return nil
}

// stop ends the helper, which ends by itself at the end of its input, and
// returns how it ended.
func (w *worker) stop() error {
	if w.process == nil {
		return nil
	}
	w.in.Close()
	timer := time.AfterFunc(time.Second, func() { w.process.Process.Kill() })
	err := w.process.Wait()
	timer.Stop()
	w.process = nil
	return err
}
