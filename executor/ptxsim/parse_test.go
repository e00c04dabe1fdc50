package ptxsim_test

import (
	"strings"
	"testing"

	"etc/executor/ptxsim"
	"etc/fault"
)

func TestParseRefuses(t *testing.T) {
	good := string(sample(sharedTile, "\tadd.s32 %r5, %r1, 1;"))
	if _, err := ptxsim.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	line := sprint("PTX line %d:", strings.Count(good[:strings.Index(good, "add.s32 %r5")], "\n")+1)
	for _, c := range []struct {
		name, old, new string
		kind           fault.Kind
		text           string
	}{
		{"an unknown opcode", "add.s32 %r5", "wgmma.fence.sync.aligned;\n add.s32 %r5", fault.Unsupported, line + ` instruction "wgmma.fence.sync.aligned"`},
		{"an unknown modifier", "add.s32 %r5", "add.cc.s32 %r5", fault.Unsupported, line},
		{"an atomic", "add.s32 %r5", "atom.global.add.u32 %r6, [%rd1], 1;\n add.s32 %r5", fault.Unsupported, line},
		{"a named barrier", "add.s32 %r5", "bar.sync 1;\n add.s32 %r5", fault.Unsupported, line},
		{"an undeclared register", "add.s32 %r5", "add.s32 %r65", fault.Corrupt, line},
		{"a register of another width", "add.s32 %r5", "add.s32 %rd5", fault.Corrupt, line},
		{"too few operands", "%r1, 1;", "%r1;", fault.Corrupt, line},
		{"a special register that is not known", "%r1, 1;", "%r1, %clock;", fault.Unsupported, line},
		{"a parameter that is too short", "ld.param.u64 %rd1, [k_0]", "ld.param.u64 %rd1, [k_0+4]", fault.Corrupt, "no parameter"},
		{"a label that is not there", "add.s32 %r5", "bra AWAY;\n add.s32 %r5", fault.Corrupt, `no label "AWAY"`},
		{"a call", "add.s32 %r5", "call.uni f;\n add.s32 %r5", fault.Unsupported, line},
		{"a function", ".visible .entry", ".func f() { ret; }\n.visible .entry", fault.Unsupported, `directive ".func"`},
		{"memory that launches share", ".visible .entry", ".global .b32 g;\n.visible .entry", fault.Unsupported, "has no values"},
		{"text that ends too early", "ret;\n}", "ret;", fault.Corrupt, "ends too early"},
		{"a stray character", "add.s32 %r5", "add.s32 ? %r5", fault.Corrupt, line},
		{"a vector of the wrong length", "add.s32 %r5", "ld.global.v4.u32 {%r6, %r7}, [%rd1];\n add.s32 %r5", fault.Corrupt, line},
		{"a kernel twice", ".visible .entry", ".visible .entry k() { ret; }\n.visible .entry", fault.Corrupt, "twice"},
		{"shared memory without bounds", "tile[4096]", "tile[9999999]", fault.Corrupt, "shared variables"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%s: nothing replaced", c.name)
		}
		_, err := ptxsim.Parse([]byte(text))
		if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v of kind %d, want kind %d and %q", c.name, err, fault.KindOf(err), c.kind, c.text)
		}
	}
}

// A declaration costs nothing, whatever number of registers it names.
func TestManyRegistersCostNothing(t *testing.T) {
	text := sample(".reg .b32 %x<2000000000>;", "\tmov.u32 %x1999999999, %r1; st.global.u32 [%rd3], %x1999999999;")
	out, _, err := trial{threads: 32}.run(t, text)
	if err != nil || get(out[4*31:], 32) != 31 {
		t.Errorf("%d, %v", get(out[4*31:], 32), err)
	}
}

// Tables of constants are read by generic and by named addresses.
func TestConstantTables(t *testing.T) {
	text := strings.Replace(string(sample("", `
	mov.u64 %rd6, table; ld.global.nc.u32 %r5, [%rd6+4]; st.global.u32 [%rd1], %r5;
	ld.const.u32 %r6, [table+8]; st.global.u32 [%rd1+4], %r6;
	ld.u32 %r7, [%rd6+12]; st.global.u32 [%rd1+8], %r7;`)),
		".visible", ".const .align 4 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0};\n.visible", 1)
	out, _, err := trial{}.run(t, []byte(text))
	if err != nil || get(out, 32) != 2 || get(out[4:], 32) != 256 || get(out[8:], 32) != 0 {
		t.Errorf("%v, %v", out[:12], err)
	}
}

// Nothing in a text may make Parse panic, nor a launch of what it accepts.
func FuzzParse(f *testing.F) {
	f.Add(sample(sharedTile, "\tadd.s32 %r5, %r1, 1;"))
	for _, c := range detectorCases {
		f.Add(sample(sharedTile, c.body))
	}
	f.Add([]byte(".version 8.0\n.target sm_80\n.file 1 \"a.cu\"\n.section .debug { .b8 1 }\n.entry k() .maxntid 1,1,1 { .loc 1 2 3, function_name x, inlined_at 1 2 3\n { .reg .b16 t; mov.b32 {t, t}, 0x12; } ret; }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ptxsim.Parse(text)
		if err != nil {
			return
		}
		d := ptxsim.NewDevice(ptxsim.Options{Steps: 1000, Count: true})
		at := d.Alloc("memory", 4096)
		for _, name := range m.Entries() {
			k, err := m.Kernel(name)
			if err != nil {
				t.Fatal(err)
			}
			l := ptxsim.Launch{Kernel: k, Grid: [3]int{2, 1, 1}, Block: [3]int{40, 1, 1}, Shared: 64}
			for _, size := range k.ParamSizes() {
				l.Args = append(l.Args, ptxsim.Arg{Bits: at, Size: size})
			}
			_ = d.Launch(l)
		}
	})
}
