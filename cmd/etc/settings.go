package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"

	"etc/fault"
)

// settings fills flags that were not given from the environment, then from
// the configuration file. Unknown keys of the file are errors. An empty
// variable counts as none: CI systems set those they have no value for.
func (p *program) settings(c *cobra.Command) error {
	v := viper.NewWithOptions(viper.WithDecoderRegistry(asWritten{}))
	if err := p.readConfig(v); err != nil {
		return err
	}
	if err := checkKeys(c.Root(), v); err != nil {
		return err
	}
	p.typed = map[string]bool{}
	c.Flags().Visit(func(f *pflag.Flag) { p.typed[f.Name] = true })
	var errs []error
	var used []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "config" || f.Name == "help" {
			return
		}
		name, value := variable(f.Name), os.Getenv(variable(f.Name))
		if key := c.Name() + "." + f.Name; value == "" && v.IsSet(key) {
			name, value = p.config+": "+key, configValue(v.Get(key))
			used = append(used, "--"+f.Name+" "+value)
		}
		if value == "" {
			return
		}
		if err := c.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, fault.Newf(fault.Usage, "%s: %v", name, err))
		}
	})
	if len(errs) > 0 {
		return errs[0]
	}
	if len(used) > 0 {
		p.note("from %s: %s", p.config, strings.Join(used, " "))
	}
	return nil
}

// unused refuses flags of the command line that this run has no use for. A
// value from the environment or the file is no mistake: it stands for other
// runs too.
func (p *program) unused(why string, flags ...string) error {
	for _, name := range flags {
		if p.typed[name] {
			return fault.Newf(fault.Usage, "--%s: %s", name, why)
		}
	}
	return nil
}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return "ETC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
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

// asWritten reads YAML with every value as the text that stands there: what 010
// and 1_000 mean is for the flag to say.
type asWritten struct{}

func (w asWritten) Decoder(string) (viper.Decoder, error) { return w, nil }

func (asWritten) Decode(b []byte, v map[string]any) error {
	var page yaml.Node
	if err := yaml.Unmarshal(b, &page); err != nil {
		return err
	}
	toText(&page)
	return page.Decode(&v)
}

// toText makes numbers, truth values and dates of a tree text.
func toText(n *yaml.Node) {
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!timestamp":
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		toText(c)
	}
}

const defaultConfig = "etc.yaml"

// readConfig reads --config, else the file that ETC_CONFIG names, else
// etc.yaml where there is one.
func (p *program) readConfig(v *viper.Viper) error {
	if p.config == "" {
		p.config = os.Getenv(variable("config"))
	}
	given := p.config != ""
	if !given {
		p.config = defaultConfig
	}
	info, err := os.Stat(p.config)
	if err != nil {
		if !given && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fault.Newf(fault.Usage, "config: %v", err)
	}
	if !given && !info.Mode().IsRegular() { // a pipe that nobody asked for is not waited for
		return fault.Newf(fault.Usage, "config: %s in this folder is not a regular file", p.config)
	}
	v.SetConfigFile(p.config)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return fault.Newf(fault.Usage, "config %s: %s", p.config, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}

// checkKeys refuses tables that are no command and keys that are no flag.
func checkKeys(root *cobra.Command, v *viper.Viper) error {
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		table, name, _ := strings.Cut(key, ".")
		c, _, err := root.Find([]string{table})
		if err != nil || c == root || name == "config" || c.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
			return fault.Newf(fault.Usage, "%s: unknown key %q", v.ConfigFileUsed(), key).WithHint("want one table a command, with its flags as keys")
		}
	}
	return nil
}
