package executor_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"etc/executor"
	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/executor/cpu/pool"
	"etc/formats/rows"
)

// A plan answers rows of text on all threads that this process may use.
func Example() {
	device, err := cpu.New(cpu.Options{Level: kernel.Best(), Threads: pool.DefaultThreads()})
	if err != nil {
		log.Fatal(err)
	}
	x, err := executor.Open("../testdata/plans/2/golden.etp", device, executor.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	ctx := context.Background()
	in := strings.NewReader("a very good film, not bad.\ngood films\n")
	err = x.Run(ctx, rows.NewReader(ctx, in, "films.txt", rows.Text), func(r *executor.Result) error {
		if r.Err != nil {
			return r.Err
		}
		fmt.Println(r.Label, r.Tokens)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// label 1 10
	// label 1 5
}
