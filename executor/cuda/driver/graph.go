//go:build cuda && linux && amd64

package driver

// #include <cuda.h>
import "C"

import "unsafe"

// A Graph is launches and copies that run as one.
type Graph struct{ graph C.CUgraphExec }

// handle is s as these functions take it.
func (s Stream) handle() C.CUstream { return C.CUstream(unsafe.Pointer(s.stream.C())) }

// Capture makes a graph of what f puts into s, none of which is done. It must
// be called, and f must stay, on one thread.
func (s Stream) Capture(f func() error) (Graph, error) {
	err := result("cuStreamBeginCapture", C.cuStreamBeginCapture(s.handle(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
	if err != nil {
		return Graph{}, err
	}
	failed := f()
	var captured C.CUgraph
	err = result("cuStreamEndCapture", C.cuStreamEndCapture(s.handle(), &captured))
	if failed != nil {
		err = failed // which spoils the capture, so that its end is an error as well
	}
	var g Graph
	if err == nil {
		err = result("cuGraphInstantiate", C.cuGraphInstantiate(&g.graph, captured, 0))
	}
	if captured != nil {
		C.cuGraphDestroy(captured)
	}
	return g, err
}

// Launch puts g into s.
func (g Graph) Launch(s Stream) error {
	return result("cuGraphLaunch", C.cuGraphLaunch(g.graph, s.handle()))
}

// Destroy gives g back, once it has run where it is running.
func (g Graph) Destroy() error { return result("cuGraphExecDestroy", C.cuGraphExecDestroy(g.graph)) }
