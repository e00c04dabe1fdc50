//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	tinyModel = "../../testdata/tiny-sst2"
	devRows   = "../../testdata/sst2-dev.tsv"
)

// compileTiny makes a plan in a folder of its own.
func compileTiny(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.etp")
	var errOut bytes.Buffer
	if code := run([]string{"compile", tinyModel, "-o", path}, nil, io.Discard, &errOut); code != 0 {
		t.Fatalf("exit %d: %s", code, errOut.String())
	}
	return path
}

// exitCode waits for a process.
func exitCode(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	err := c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// TestStreaming: a caller that pipes one row and waits gets its answer.
func TestStreaming(t *testing.T) {
	for _, command := range []string{"run", "tokenize"} {
		t.Run(command, func(t *testing.T) {
			c := exec.Command("etc", command, compileTiny(t), "--quiet")
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
			defer stuck.Stop()
			lines := bufio.NewScanner(out)
			for i := range 3 {
				fmt.Fprintf(in, "{\"id\": %d, \"text\": \"good\"}\n", i)
				if !lines.Scan() || !strings.HasPrefix(lines.Text(), fmt.Sprintf(`{"id":%d,`, i)) {
					t.Fatalf("row %d: got %q", i, lines.Text())
				}
			}
			fmt.Fprint(in, `{"id": "last", "text": "no line feed"}`)
			in.Close()
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), `{"id":"last",`) {
				t.Errorf("last row: got %q", lines.Text())
			}
			if code := exitCode(t, c); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// TestNoStandardInput: a run without standard input has no rows.
func TestNoStandardInput(t *testing.T) {
	out, err := exec.Command("sh", "-c", `exec etc run "$0" --quiet <&-`, compileTiny(t)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestInterrupted: a run that waits for rows ends on a signal with its code
// and leaves nothing.
func TestInterrupted(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: exitInterrupt, syscall.SIGTERM: exitTerminate, syscall.SIGHUP: exitHangup} {
		plan, folder := compileTiny(t), t.TempDir()
		c := exec.Command("etc", "run", plan, "-o", filepath.Join(folder, "answers"))
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errOut bytes.Buffer
		c.Stderr = &errOut
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(in, "good")
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until it writes
			if entries, _ := os.ReadDir(folder); len(entries) > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing was begun")
			}
		}
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, c); code != want {
			t.Errorf("%v: exit %d, want %d: %s", signal, code, want, errOut.String())
		}
		if !strings.Contains(errOut.String(), "etc: interrupted") {
			t.Errorf("%v: %s", signal, errOut.String())
		}
		wantEmpty(t, folder)
	}
}

// TestConfigPipe: a pipe is read where --config names it, and not waited for
// where it only has the file's name.
func TestConfigPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, defaultConfig), 0o666); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]int{
		"exec etc version": 2,
		"echo 'tokenize: {quiet: true}' > etc.yaml & exec etc version --config etc.yaml": 0,
	} {
		c := exec.Command("sh", "-c", script)
		c.Dir = dir
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		stuck := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
		if code := exitCode(t, c); code != want || want == 2 && !strings.Contains(out.String(), "etc.yaml in this folder is not a regular file") {
			t.Errorf("%s: exit %d, want %d: %s", script, code, want, out.String())
		}
		stuck.Stop()
	}
}

// TestNoHangup: under nohup a run goes on when its terminal goes.
func TestNoHangup(t *testing.T) {
	out := filepath.Join(t.TempDir(), "answers")
	c := exec.Command("nohup", "etc", "run", compileTiny(t), "-o", out)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "good")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until it writes
		if begun, _ := filepath.Glob(out + ".*"); len(begun) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was begun")
		}
	}
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // before its input ends
	in.Close()
	if code := exitCode(t, c); code != 0 {
		t.Errorf("exit %d", code)
	}
	if text, err := os.ReadFile(out); err != nil || !strings.Contains(string(text), "logits") {
		t.Errorf("%q %v", text, err)
	}
}

// TestPruneOntoMount: the volume of a container cannot be replaced, which is
// seen before the search; a folder in it can be written.
func TestPruneOntoMount(t *testing.T) {
	if out, err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("no mounts for a test here: %v %s", err, out)
	}
	const script = `mount -t tmpfs none "$1" && shift && exec etc "$@"`
	for at, want := range map[string]int{"": 2, "/new": 0} {
		volume := filepath.Join(t.TempDir(), "volume")
		if err := os.Mkdir(volume, 0o777); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("unshare", "-rm", "sh", "-c", script, "sh", volume, "prune", tinyModel, "-o", volume+at, "--sparsity", "0.1", "--force")
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, c); code != want {
			t.Errorf("%q: exit %d, want %d: %s", at, code, want, out.String())
		}
		if want == 2 && !strings.HasPrefix(out.String(), "etc: "+volume+" cannot be replaced: ") {
			t.Errorf("%q: %s", at, out.String())
		}
		if left, _ := filepath.Glob(volume + ".*"); left != nil {
			t.Errorf("%q: left %v", at, left)
		}
	}
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}

// TestInterruptedAnywhere: whenever a signal comes, what is written is whole
// or not there.
func TestInterruptedAnywhere(t *testing.T) {
	model, err := filepath.Abs(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for name, args := range map[string][]string{
		"prune":   {"prune", model, "-o", "out", "--sparsity", "0.3"},
		"compile": {"compile", model, "-o", "out"},
	} {
		longest, interrupted := 400*time.Millisecond, 0
		for range 15 {
			folder := t.TempDir()
			c := exec.Command("etc", args...)
			c.Dir = folder
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			time.Sleep(30*time.Millisecond + time.Duration(rng.Int64N(int64(longest))))
			c.Process.Signal(syscall.SIGTERM)
			switch code := exitCode(t, c); code {
			case 0:
				longest = max(20*time.Millisecond, min(longest, time.Since(start)))
				entries, err := os.ReadDir(folder)
				if err != nil || len(entries) != 1 || entries[0].Name() != "out" {
					t.Errorf("%s: %v %v, want out alone", name, entries, err)
				}
			case exitTerminate, -1: // -1: before the program was up to catch it
				interrupted++
				wantEmpty(t, folder)
			default:
				t.Errorf("%s: exit %d", name, code)
			}
		}
		t.Logf("%s: %d of 15 interrupted", name, interrupted)
		if interrupted == 0 {
			t.Errorf("%s: no signal came in time", name)
		}
	}
}

// TestMemoryBounded: memory does not grow with the number of rows.
func TestMemoryBounded(t *testing.T) {
	plan := compileTiny(t)
	peak := func(rows int) int64 {
		c := exec.Command("etc", "run", plan, "--quiet", "-o", "/dev/null")
		c.Stdin = io.LimitReader(&repeated{text: "good\n"}, int64(rows*len("good\n")))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	}
	few, many := peak(20_000), peak(200_000)
	t.Logf("peak of 20000 rows %d, of 200000 rows %d", few, many)
	if many > few+few/2 {
		t.Errorf("peak memory of 200000 rows is %d, of 20000 %d", many, few)
	}
}

// repeated reads as a text over and over.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at%len(r.text)]
		r.at++
	}
	return len(p), nil
}

// TestInterruptedCompilers: an interrupt while kernels are compiled ends the
// helpers that compile them, and leaves nothing.
func TestInterruptedCompilers(t *testing.T) {
	folder, pids := t.TempDir(), t.TempDir()
	helper := filepath.Join(t.TempDir(), "etc-nvrtc")
	slow := `#!/bin/sh
while read -r line; do
	case $line in
	*ENTRY*) touch "$PIDS/$$"; exec sleep 300 ;;
	*) echo '{"version": "12.9"}' ;;
	esac
done
`
	if err := os.WriteFile(helper, []byte(slow), 0o777); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("etc", "compile", tinyModel, "-o", filepath.Join(folder, "out"), "--target", "sm_80")
	c.Env = append(os.Environ(), "ETC_NVRTC="+helper, "ETC_NVRTC_LIB="+helper, "ETC_CACHE_DIR="+t.TempDir(), "PIDS="+pids)
	var errOut bytes.Buffer
	c.Stderr = &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var started []os.DirEntry
	for deadline := time.Now().Add(time.Minute); len(started) == 0; time.Sleep(time.Millisecond) {
		started, _ = os.ReadDir(pids)
		if time.Now().After(deadline) {
			c.Process.Kill()
			t.Fatalf("nothing is compiled: %v %s", c.Wait(), errOut.String())
		}
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, c); code != exitInterrupt {
		t.Errorf("exit %d, want %d: %s", code, exitInterrupt, errOut.String())
	}
	wantEmpty(t, folder)
	started, _ = os.ReadDir(pids)
	for _, e := range started {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				syscall.Kill(pid, syscall.SIGKILL)
				t.Fatal("a helper goes on")
			}
		}
	}
}
