package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"etc/fault"
)

// A program is one run of etc: where it reads and writes, and the flags that
// all commands share.
type program struct {
	arguments      []string // of the command line
	in             io.Reader
	out            *latch
	err            io.Writer
	quiet, verbose bool
	force          bool
	config         string
	typed          map[string]bool // flags given on the command line
	unfinished     unfinished
	keeper         keeper
	progress       *progress // what is shown now
	told           bool      // which device was taken
}

// commands lists every command, in the order of the data's way.
var commands = []func(*program) *cobra.Command{
	pruneCommand, compileCommand, runCommand, evalCommand, verifyCommand, benchCommand,
	inspectCommand, explainCommand, tokenizeCommand, tuneCommand, diffCommand, reproduceCommand,
	completionCommand, versionCommand,
}

// execute runs one command line. Whatever fails before a command begins is
// wrong usage.
func (p *program) execute(ctx context.Context, args []string) error {
	began := false
	err := p.root(args, &began).ExecuteContext(ctx)
	if p.out.err != nil && (err == nil || !began) {
		return p.out.err
	}
	if _, ok := errors.AsType[*fault.Error](err); err != nil && !ok && !began {
		return fault.Newf(fault.Usage, "%w", err).WithHint("etc --help lists the commands")
	}
	return err
}

// root makes the tree of commands; began becomes true when one of them runs.
func (p *program) root(args []string, began *bool) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:           "etc",
		Short:         "Prune, compile and run transformer encoders",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return fault.Newf(fault.Usage, "no command given").WithHint("etc --help lists the commands")
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.Newf(fault.Usage, "%v", err).WithHint("%s --help lists the flags", c.CommandPath())
	})
	f := root.PersistentFlags()
	f.SortFlags = false
	f.BoolVar(&p.quiet, "quiet", false, "print nothing but results and errors")
	f.BoolVarP(&p.verbose, "verbose", "v", false, "tell more on standard error")
	f.StringVar(&p.config, "config", "", "read flags from this YAML file, one table a command (default etc.yaml if there)")
	for _, command := range commands {
		c := command(p)
		c.Flags().SortFlags = false
		c.Flags().VisitAll(readDecimal)
		run, check := c.RunE, c.Args
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fault.Newf(fault.Usage, "%s: %v", c.Name(), err).WithHint("usage: etc %s", c.Use)
			}
			return nil
		}
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := p.settings(c); err != nil {
				return err
			}
			*began = true
			return run(c, args)
		}
		root.AddCommand(c)
	}
	return root
}

func knownCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fault.Newf(fault.Usage, "unknown command %q", args[0]).WithHint("etc --help lists the commands")
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return knownCommand(c, args)
			}
			return about.Help()
		},
	}
}

// shells are those whose completion cobra can write.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print a completion script for " + strings.Join(shells, ", "),
		ValidArgs: shells,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return fmt.Errorf("shell %q: want one of %s", args, strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch root := c.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.out, true)
			case "zsh":
				return root.GenZshCompletion(p.out)
			case "fish":
				return root.GenFishCompletion(p.out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(p.out)
			}
		},
	}
}

func versionCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.out, "etc %s\n", version)
			return err
		},
	}
}

// note prints a line for people on standard error.
func (p *program) note(format string, args ...any) {
	if !p.quiet {
		p.progress.clear()
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}
