package cpu

import (
	"time"

	"etc/formats/plan"
)

// An Event is what one worker did of one step of one group.
type Event struct {
	Step     int  // index into the program's steps
	First    bool // its first phase, which turns rows into integers, where that is not done by the step before
	Worker   int
	From, To time.Time // the first task's start, the last task's end
	Busy     time.Duration
	Tasks    int
	MACs     float64 // multiply-adds of those tasks, the step's own over all of its tasks; 0 of a first phase
	Tokens   int     // of the group
	group    int
}

// timed runs a task by the clock.
func (d *Device) timed(g *group, worker, task int) {
	from := time.Now()
	g.task(g, worker, task)
	to := time.Now()
	events := d.events[worker]
	n := len(events) - 1
	if n < 0 || events[n].Step != g.step || events[n].First != g.inFirst || events[n].group != g.lane {
		events = append(events, Event{Step: g.step, First: g.inFirst, Worker: worker, From: from, Tokens: g.tokens(), group: g.lane})
		n++
	}
	e := &events[n]
	e.To = to
	e.Busy += to.Sub(from)
	e.Tasks++
	e.MACs += float64(g.macs) / float64(g.tasks)
	d.events[worker] = events
}

// report hands the events of a batch on, worker by worker.
func (d *Device) report(p *plan.Program) {
	for w, events := range d.events {
		if len(events) > 0 {
			d.options.Profile(p, events)
		}
		d.events[w] = events[:0]
	}
}
