package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"etc/fault"
)

// A program is one run of etc: where it reads and writes, and the flags that
// all commands share.
type program struct {
	in       io.Reader
	out, err io.Writer
	quiet    bool
	verbose  bool
	force    bool
	config   string

	unfinished []string // paths to remove if the run does not end well
}

// commands lists every command, in the order of the help.
var commands = []func(*program) *cobra.Command{
	pruneCommand, compileCommand, runCommand, evalCommand, verifyCommand, benchCommand,
	inspectCommand, explainCommand, tokenizeCommand, diffCommand, reproduceCommand, versionCommand,
}

func (p *program) execute(ctx context.Context, args []string) error {
	root := &cobra.Command{
		Use:           "etc",
		Short:         "Prune, compile and run transformer encoders",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fault.Newf(fault.Usage, "unknown command %q", args[0]).WithHint("etc --help lists the commands")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			c.Help()
			return fault.Newf(fault.Usage, "no command given")
		},
	}
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fault.Newf(fault.Usage, "%v", err).WithHint("etc %s --help lists the flags", c.Name())
	})
	f := root.PersistentFlags()
	f.BoolVar(&p.quiet, "quiet", false, "print no progress")
	f.BoolVarP(&p.verbose, "verbose", "v", false, "tell more on standard error")
	f.StringVar(&p.config, "config", "", "read flags from this YAML file, one table a command (default etc.yaml if there)")
	for _, make := range commands {
		c := make(p)
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
			return run(c, args)
		}
		root.AddCommand(c)
	}
	return root.ExecuteContext(ctx)
}

// settings fills flags that were not given from the environment, then from
// the configuration file. Unknown keys of the file are errors.
func (p *program) settings(c *cobra.Command) error {
	v := viper.New()
	if err := p.readConfig(v); err != nil {
		return err
	}
	if err := checkKeys(c.Root(), v); err != nil {
		return err
	}
	var first error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "config" || f.Name == "help" {
			return
		}
		name, value := "ETC_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), ""
		if s, ok := os.LookupEnv(name); ok {
			value = s
		} else if key := c.Name() + "." + f.Name; v.IsSet(key) {
			name, value = p.config+": "+key, configValue(v.Get(key))
		} else {
			return
		}
		if err := c.Flags().Set(f.Name, value); err != nil && first == nil {
			first = fault.Newf(fault.Usage, "%s: %v", name, err)
		}
	})
	return first
}

// configValue writes a YAML scalar or list as a flag takes it.
func configValue(value any) string {
	if list, ok := value.([]any); ok {
		var parts []string
		for _, x := range list {
			parts = append(parts, fmt.Sprint(x))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

const defaultConfig = "etc.yaml"

func (p *program) readConfig(v *viper.Viper) error {
	given := p.config != ""
	if !given {
		p.config = defaultConfig
	}
	if _, err := os.Stat(p.config); err != nil {
		if !given && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fault.Newf(fault.Usage, "config: %v", err)
	}
	v.SetConfigFile(p.config)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return fault.Newf(fault.Usage, "config: %v", err)
	}
	p.note("flags also from %s", p.config)
	return nil
}

// checkKeys refuses tables that are no command and keys that are no flag.
func checkKeys(root *cobra.Command, v *viper.Viper) error {
	for _, key := range v.AllKeys() {
		table, name, _ := strings.Cut(key, ".")
		c, _, err := root.Find([]string{table})
		if err != nil || c == root || c.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
			return fault.Newf(fault.Usage, "%s: unknown key %q", v.ConfigFileUsed(), key)
		}
	}
	return nil
}

// note prints a line for people on standard error.
func (p *program) note(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}

// addForce adds --force to a command that writes a file.
func (p *program) addForce(c *cobra.Command) {
	c.Flags().BoolVar(&p.force, "force", false, "replace an existing output")
}

// checkOutput refuses an output that exists, unless --force, or whose folder does not.
func (p *program) checkOutput(path string) error {
	if path == "" {
		return fault.Newf(fault.Usage, "no output: -o is wanted")
	}
	if _, err := os.Lstat(path); err == nil && !p.force {
		return fault.Newf(fault.Usage, "%s exists", path).WithHint("--force replaces it")
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fault.Newf(fault.Usage, "%s: its folder does not exist", path)
	}
	return nil
}

// create writes path whole or not at all: beside its place, then renamed.
func (p *program) create(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".etc-*")
	if err != nil {
		return err
	}
	p.unfinished = append(p.unfinished, f.Name())
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// createBytes is create for what is in memory.
func (p *program) createBytes(path string, b []byte) error {
	return p.create(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// discardUnfinished removes what a run that was cut short left behind.
func (p *program) discardUnfinished() {
	for _, path := range p.unfinished {
		os.RemoveAll(path)
	}
}
