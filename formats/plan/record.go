package plan

import "etc/formats/plan/launch"

// walkModel walks the model section: all of a plan but the graphs, the
// tokenizer, the bytes of weights and kernels and the provenance.
func (p *Plan) walkModel(c *codec) {
	p.Model.walk(c)
	c.int(&p.MaxBatchTokens)
	list(c, &p.Weights, func(w *Weight) { w.walk(c) })
	list(c, &p.Kernels, func(k *Kernel) { k.walk(c) })
	list(c, &p.Programs, func(q **Program) {
		if *q == nil {
			*q = &Program{Plan: p}
		}
		(*q).walk(c)
	})
}

// walkGraphs walks the graph section: the text of each program.
func (p *Plan) walkGraphs(c *codec) {
	var texts []string
	for _, q := range p.Programs {
		if !c.reading {
			texts = append(texts, q.Graph)
		}
	}
	list(c, &texts, c.string)
	if c.reading && len(texts) != len(p.Programs) {
		c.fail("%d graphs, want %d, one a program", len(texts), len(p.Programs))
	}
	for i := range min(len(texts), len(p.Programs)) {
		p.Programs[i].Graph = texts[i]
	}
}

func (q *Program) walk(c *codec) {
	c.string(&q.Target)
	list(c, &q.Buffers, func(b *Buffer) { b.walk(c) })
	list(c, &q.Steps, func(s *Step) { s.walk(c) })
	list(c, &q.Buckets, func(b *Bucket) { b.walk(c) })
	list(c, &q.Outputs, func(o *Output) { o.walk(c) })
}

func (k *Kernel) walk(c *codec) {
	c.string(&k.Family)
	list(c, &k.Defines, func(d *launch.Define) {
		c.string(&d.Name)
		c.int(&d.Value)
	})
	c.int(&k.Threads)
	c.int(&k.Shared)
	k.Source.walk(c)
	list(c, &k.Images, func(m *Image) { m.walk(c) })
}

func (s *Span) walk(c *codec) {
	c.int(&s.Offset)
	c.int(&s.Size)
}

func (m *Image) walk(c *codec) {
	c.int(&m.SM)
	c.bool(&m.PTX)
	m.Code.walk(c)
	c.int(&m.Registers)
	c.int(&m.Spills)
	c.int(&m.StaticShared)
	c.int(&m.Blocks)
}

func (l *Launch) walk(c *codec) {
	c.int(&l.Tokens)
	list(c, &l.Kernels, c.int)
}

func (m *Model) walk(c *codec) {
	c.string(&m.Architecture)
	enum(c, &m.Task)
	list(c, &m.Labels, c.string)
	c.int(&m.MaxTokens)
	c.int(&m.VocabSize)
	c.int(&m.TypeVocabSize)
	c.int(&m.PositionOffset)
	c.int(&m.Layers)
	c.int(&m.Hidden)
	if c.minor >= paddingMinor {
		list(c, &m.Padding, c.int)
	}
}

func (w *Weight) walk(c *codec) {
	c.string(&w.Name)
	enum(c, &w.Layout)
	enum(c, &w.DType)
	list(c, &w.Shape, c.int)
	c.int64(&w.Offset)
	c.int64(&w.Size)
}

func (b *Buffer) walk(c *codec) {
	enum(c, &b.Rows)
	enum(c, &b.DType)
	c.int(&b.Width)
	c.int(&b.Stride)
	c.int(&b.Offset)
}

func (s *Step) walk(c *codec) {
	enum(c, &s.Op)
	c.string(&s.Label)
	list(c, &s.Args, func(a *Arg) {
		enum(c, &a.Kind)
		c.int(&a.Index)
	})
	list(c, &s.Results, c.int)
	s.Params.walk(c)
	c.string(&s.Reduction.Instruction)
	c.int(&s.Reduction.Segment)
	c.bits(&s.Needed)
	list(c, &s.Launches, func(l *Launch) { l.walk(c) })
}

func (p *Params) walk(c *codec) {
	enum(c, &p.Act)
	enum(c, &p.Rows)
	c.bool(&p.Causal)
	c.bool(&p.Exp2)
	c.int(&p.Scaled)
	c.int(&p.Heads)
	c.int(&p.D)
	c.int(&p.Dv)
	c.float(&p.Scale)
	c.float(&p.Eps)
}

func (b *Bucket) walk(c *codec) {
	c.int(&b.MaxTokens)
	list(c, &b.Choices, func(ch *Choice) {
		c.int(&ch.Step)
		enum(c, &ch.Op)
		c.int64(&ch.Workspace)
		list(c, &ch.Launches, func(l *Launch) { l.walk(c) })
	})
}

func (o *Output) walk(c *codec) {
	c.string(&o.Name)
	c.int(&o.Buffer)
	c.int(&o.After)
	enum(c, &o.When)
}

// walk walks the provenance section.
func (p *Provenance) walk(c *codec) {
	c.string(&p.Version)
	c.fixed(p.Source[:])
	list(c, &p.Flags, func(f *Flag) {
		c.string(&f.Name)
		c.string(&f.Value)
	})
}
