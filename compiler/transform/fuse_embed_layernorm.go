package transform

import (
	"slices"

	"etc/ir"
	"etc/ir/pass"
)

// FuseEmbedLayerNorm makes one operator of an embedding and the norm that
// alone reads it:
//
//	layernorm(embed(ids, …)) = embed_layernorm(ids, …)
//
// In a pre-norm model the sum is the residual too, and stays.
var FuseEmbedLayerNorm = pass.Pass{
	Name: "fuse-embed-layernorm",
	Doc:  "fuse an embedding with its norm",
	Run:  fuseEmbedLayerNorm,
}

func fuseEmbedLayerNorm(g *ir.Graph) int {
	fused := 0
	for _, norm := range slices.Clone(g.Ops) {
		if norm.Kind != ir.LayerNorm || norm.Arg("x").Def.Kind != ir.Embed || g.OnlyUser(norm.Arg("x")) != norm {
			continue
		}
		embed := norm.Arg("x").Def
		attrs := &ir.EmbedLayerNormAttrs{Scale: embed.Attrs.(*ir.EmbedAttrs).Scale, Eps: norm.Attrs.(*ir.LayerNormAttrs).Eps}
		args := append(slices.Clone(embed.Args), norm.Arg("gamma"), norm.Arg("beta"))
		g.ReplaceUses(norm.Result(), g.NewBefore(norm, ir.EmbedLayerNorm, attrs, norm.Label, args...).Result())
		fused++
	}
	g.RemoveDead()
	return fused
}
