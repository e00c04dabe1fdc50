package tokenizer

const (
	rootNode = int32(0)
	noNode   = int32(-1)
)

// A trie finds the longest of many strings at a place in a text, byte by byte.
type trie struct {
	edges table   // node, byte -> node
	ids   []int32 // of the string that ends at a node, or noID
}

func newTrie(strings int) trie {
	// BERT's vocabularies have three nodes a token.
	return trie{edges: newTable(3 * strings), ids: append(make([]int32, 0, 3*strings+1), noID)}
}

func edge(node int32, b byte) uint64 { return uint64(node)<<8 | uint64(b) }

// insert gives s an id and reports whether s is new.
func (t *trie) insert(s string, id int32) bool {
	node := rootNode
	for i := range len(s) {
		next, ok := t.edges.get(edge(node, s[i]))
		if !ok {
			next = int32(len(t.ids))
			t.ids = append(t.ids, noID)
			t.edges.set(edge(node, s[i]), next)
		}
		node = next
	}
	if t.ids[node] != noID {
		return false
	}
	t.ids[node] = id
	return true
}

// find is the node where s leads, or noNode.
func (t *trie) find(s string) int32 {
	node := rootNode
	for i := range len(s) {
		next, ok := t.edges.get(edge(node, s[i]))
		if !ok {
			return noNode
		}
		node = next
	}
	return node
}

// longest is the id and length in bytes of the longest string that text
// begins with, continued from node. The length is at least 1, or 0 if there is none.
func (t *trie) longest(node int32, text []byte) (id int32, n int) {
	id = noID
	for i, b := range text {
		next, ok := t.edges.get(edge(node, b))
		if !ok {
			break
		}
		node = next
		if t.ids[node] != noID {
			id, n = t.ids[node], i+1
		}
	}
	return id, n
}
