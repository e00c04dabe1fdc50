package main

import (
	"fmt"
	"sync"

	"etc/fault"
	"etc/prune"
)

// A keeper lets a command that is interrupted keep what it has: a first signal
// then ends only a part of it.
type keeper struct {
	sync.Mutex
	stop func() // ends that part; nil: there is nothing to keep
	said string // what was kept, or why nothing was
}

// offer says how a signal ends what can be cut short; nil takes the offer back.
func (k *keeper) offer(stop func()) {
	k.Lock()
	defer k.Unlock()
	k.stop = stop
}

// take ends that part, and tells whether there was an offer.
func (k *keeper) take() bool {
	k.Lock()
	defer k.Unlock()
	if k.stop == nil {
		return false
	}
	k.stop()
	return true
}

// kept is the best that an interrupted search has found.
func (r *pruning) kept(q *prune.Quest) (*prune.Found, error) {
	q.Calibrate = r.recalibrate(r.ctx)
	found, err := q.Kept(r.ctx)
	if err == nil && found == nil {
		err = fault.Newf(fault.Unreachable, "no model inside was found so far; nothing was written")
	}
	if err != nil {
		return nil, err
	}
	r.cut = "interrupted: the best found so far, which the accept rows were not asked about"
	r.warn("%s", r.cut)
	r.keeper.said = fmt.Sprintf("the best found so far is in %s", r.flags.output)
	return found, nil
}
