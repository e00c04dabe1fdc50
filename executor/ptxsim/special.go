package ptxsim

import "math/bits"

// specialRegisters are the special registers that code may read.
var specialRegisters = map[string]func(w *warp, lane int) int{
	"%tid.x":    func(w *warp, lane int) int { return w.thread(lane) % w.block.run.shape[0] },
	"%tid.y":    func(w *warp, lane int) int { return w.thread(lane) / w.block.run.shape[0] % w.block.run.shape[1] },
	"%tid.z":    func(w *warp, lane int) int { return w.thread(lane) / (w.block.run.shape[0] * w.block.run.shape[1]) },
	"%ntid.x":   func(w *warp, _ int) int { return w.block.run.shape[0] },
	"%ntid.y":   func(w *warp, _ int) int { return w.block.run.shape[1] },
	"%ntid.z":   func(w *warp, _ int) int { return w.block.run.shape[2] },
	"%ctaid.x":  func(w *warp, _ int) int { return w.block.index[0] },
	"%ctaid.y":  func(w *warp, _ int) int { return w.block.index[1] },
	"%ctaid.z":  func(w *warp, _ int) int { return w.block.index[2] },
	"%nctaid.x": func(w *warp, _ int) int { return w.block.run.grid[0] },
	"%nctaid.y": func(w *warp, _ int) int { return w.block.run.grid[1] },
	"%nctaid.z": func(w *warp, _ int) int { return w.block.run.grid[2] },
	"%laneid":   func(_ *warp, lane int) int { return lane },
	"%warpid":   func(w *warp, _ int) int { return w.id },
	"%nwarpid":  func(w *warp, _ int) int { return len(w.block.warps) },

	"%lanemask_eq": func(_ *warp, lane int) int { return 1 << lane },
	"%lanemask_lt": func(_ *warp, lane int) int { return 1<<lane - 1 },
	"%lanemask_le": func(_ *warp, lane int) int { return 2<<lane - 1 },
	"%lanemask_gt": func(_ *warp, lane int) int { return int(allLanes &^ (2<<lane - 1)) },
	"%lanemask_ge": func(_ *warp, lane int) int { return int(allLanes &^ (1<<lane - 1)) },

	"%dynamic_smem_size": func(w *warp, _ int) int { return w.block.run.dynamic },
}

// special is a slot that holds a special register in every lane.
func (p *parser) special(name string) int32 {
	if slot, ok := p.body.specials[name]; ok {
		return slot
	}
	get := specialRegisters[name]
	if get == nil {
		p.unsupported("operand %q", name)
	}
	slot := p.newSlot()
	p.body.specials[name] = slot
	p.k.specials = append(p.k.specials, special{slot, get})
	return slot
}

const allLanes = ^uint32(0)

// firstLane is the lowest lane in m; 0 where there is none.
func firstLane(m uint32) int { return bits.TrailingZeros32(m) & 31 }
