package report

// Shapes tell outcomes apart without colour: paths around the origin.
var shapes = map[string]string{
	"dense":          "M-5 -5H5V5H-5Z",
	class(Chosen):    "M0 -8L8 0L0 8L-8 0Z",
	class(Inside):    circle,
	class(Outside):   circle,
	class(EarlyStop): "M-4 -4L4 4M-4 4L4 -4",
	class(NotJudged): "M0 -5V5",
}

const (
	circle = "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0 -4.5 0Z"
	// beyond points at what lies past the edge of the drawing.
	beyond = "M-5 -9H5L0 0Z"
)

// Shape is the path of the mark.
func (m mark) Shape() string {
	if m.Off {
		return beyond
	}
	return shapes[m.Class]
}

// A key explains a mark below the drawing.
type key struct{ Class, Shape, Title string }

var keys = []key{
	{"dense", "", "dense"},
	{class(Chosen), "", "chosen"},
	{class(Inside), "", "inside the drop allowed"},
	{class(Outside), "", "outside"},
	{class(EarlyStop), "", "stopped early, value so far"},
	{class(NotJudged), "", "not judged"},
}

// Legend has the marks that the drawing has.
func (c *curve) Legend() []key {
	var all []key
	off := ""
	for _, k := range keys {
		met := false
		for _, m := range c.Points {
			met = met || m.Class == k.Class
			if m.Off {
				off = m.Class
			}
		}
		if met {
			all = append(all, key{k.Class, shapes[k.Class], k.Title})
		}
	}
	if off != "" {
		all = append(all, key{off, "M-5 -5H5L0 5Z", "beyond the drawing"})
	}
	return all
}
