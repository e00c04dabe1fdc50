package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"etc/codegen/cuda"
	"etc/codegen/cuda/kernels"
	"etc/codegen/cuda/nvrtc"
	"etc/compiler"
	"etc/compiler/cost"
	driver "etc/executor/cuda"
	"etc/executor/gpu"
	"etc/fault"
	"etc/formats/plan"
)

func tuneCommand(p *program) *cobra.Command {
	var output, device string
	c := &cobra.Command{
		Use:   "tune PLAN.etp -o TABLE",
		Short: "Measure kernel variants on a device, for compile --tuning",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.checkOutput(output); err != nil {
				return err
			}
			d, err := openCard(device)
			if err != nil {
				return err
			}
			defer d.Close()
			return p.tune(args[0], output, d, func() (cuda.Compiler, error) { return p.anyNVRTC(c.Context()) }, cardWatch)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "where the table goes; one that is there is added to with --force")
	c.Flags().StringVar(&device, "device", cudaDevice, "cuda or cuda:N")
	p.addForce(c)
	return c
}

// tune measures the programs of a plan that suit the device, and writes what
// was best.
func (p *program) tune(path, output string, d gpu.Driver, find func() (cuda.Compiler, error), w stopwatch) error {
	table, err := tableAt(output)
	if err != nil {
		return err
	}
	file, err := plan.Open(path, plan.OpenOptions{})
	if err != nil {
		return err
	}
	defer file.Close()
	sm, err := tunedSM(file.Plan, d)
	if err != nil {
		return err
	}
	var trials []trial
	for _, q := range file.Plan.Programs {
		if g, ok := gpuModel(q.Target, nil); ok && g.SM == sm {
			trials = append(trials, trialsOf(q, g, cuda.RowClasses, file.Plan.MaxBatchTokens)...)
		}
	}
	c, err := find()
	if err != nil {
		return err
	}
	functions, err := loadKernels(d, c, sm, trials)
	if err != nil {
		return err
	}
	w.done = p.newProgress("measuring").set
	measured, err := measureAll(d, functions, trials, w)
	if err != nil {
		return err
	}
	table.Merge(measured)
	err = p.create(output, func(out *os.File) error {
		_, err := out.Write(table.Encode())
		return err
	})
	if err == nil {
		p.note("%s: %d measurements on %s, %d of them other than the cost model's choice; %d entries in all", output, len(trials), d.Name(), changed(trials, measured), len(table.Entries))
	}
	return err
}

// tunedSM is the architecture of the plan's programs that are to be measured:
// the best that runs on the device as machine code.
func tunedSM(p *plan.Plan, d gpu.Driver) (int, error) {
	best := 0
	for _, q := range p.Programs {
		if sm := plan.SM(q.Target); sm > best && sm <= d.SM() && sm/10 == d.SM()/10 {
			best = sm
		}
	}
	if best == 0 {
		return 0, fault.Newf(fault.Unfit, "%s is sm_%d, the plan is for %s: times of one card say nothing of another", d.Name(), d.SM(), strings.Join(p.Targets(), ", ")).
			WithHint("etc compile --target sm_%d0 makes one for it", d.SM()/10)
	}
	return best, nil
}

// anyNVRTC finds the compiler of kernels.
func (p *program) anyNVRTC(ctx context.Context) (cuda.Compiler, error) {
	o := compiler.Options{Targets: []string{"sm_80:f16"}}
	err := p.findNVRTC(ctx, &o, false)
	return o.NVRTC, err
}

// openCard opens the card that --device names.
func openCard(device string) (gpu.Driver, error) {
	kind, number, numbered := strings.Cut(device, ":")
	if kind != cudaDevice || !isIndex(number, numbered) {
		return nil, fault.Newf(fault.Usage, "--device %q: want cuda or cuda:N: what is measured is a card", device)
	}
	n, err := strconv.Atoi(number)
	if numbered && err != nil {
		return nil, fault.Newf(fault.Usage, "--device %s: want the number of a device", device)
	}
	return driver.Open(n)
}

// tableAt is the table that is to be added to, an empty one where there is none.
func tableAt(path string) (*cost.Tuning, error) {
	if isSpecial(path) {
		return cost.NewTuning(), nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cost.NewTuning(), nil
	}
	if err != nil {
		return nil, err
	}
	t, err := cost.ParseTuning(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// changed counts the keys whose best variant is not the one of the cost model.
func changed(trials []trial, t *cost.Tuning) int {
	n := 0
	for _, x := range trials {
		if t.Entries[x.key].Use != x.model {
			n++
		}
	}
	return n
}

// loadKernels compiles the kernels of the trials for an architecture, as PTX
// where the device takes that only, and loads them.
func loadKernels(d gpu.Driver, c cuda.Compiler, sm int, trials []trial) (map[string]gpu.Function, error) {
	ptx := d.SM() == 0
	var jobs []nvrtc.Job
	shared := map[string]int{}
	for _, t := range trials {
		for _, v := range t.variants {
			for _, k := range v.kernels {
				if _, there := shared[k.Entry()]; there {
					continue
				}
				source, err := kernels.Source(k)
				if err != nil {
					return nil, fault.Newf(fault.Internal, "bug: tune: %w", err)
				}
				shared[k.Entry()] = k.Shared()
				jobs = append(jobs, nvrtc.Job{Name: k.Entry(), Source: source, SM: sm, PTX: ptx})
			}
		}
	}
	code, err := c.Compile(jobs)
	if err != nil {
		return nil, err
	}
	functions := map[string]gpu.Function{}
	for i, j := range jobs {
		m, err := d.Load(code[i].Bytes, ptx) // given back with the driver
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", j.Name, err)
		}
		if functions[j.Name], err = m.Function(j.Name, shared[j.Name]); err != nil {
			return nil, fmt.Errorf("kernel %s: %w", j.Name, err)
		}
	}
	return functions, nil
}

// inShort is the value of a flag in one line: of a table of measurements, how
// many there are.
func (f flagDetail) inShort() string {
	if f.Name != "tuning" {
		return f.Value
	}
	t, err := cost.ParseTuning([]byte(f.Value))
	if err != nil {
		return "a table that cannot be read"
	}
	return fmt.Sprintf("%d measurements", len(t.Entries))
}
