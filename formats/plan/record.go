package plan

// walkModel walks the model section: all of a plan but the graph, the
// tokenizer, the weights' bytes and the provenance.
func (p *Plan) walkModel(c *codec) {
	c.string(&p.Target)
	p.Model.walk(c)
	c.int(&p.MaxBatchTokens)
	list(c, &p.Weights, func(w *Weight) { w.walk(c) })
	list(c, &p.Buffers, func(b *Buffer) { b.walk(c) })
	list(c, &p.Steps, func(s *Step) { s.walk(c) })
	list(c, &p.Buckets, func(b *Bucket) { b.walk(c) })
	list(c, &p.Outputs, func(o *Output) { o.walk(c) })
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
