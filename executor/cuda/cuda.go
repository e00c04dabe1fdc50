// Package cuda is the gpu.Driver of NVIDIA cards.
//
// It is there with the build tag cuda on linux/amd64, which make cuda sets;
// elsewhere Open says so. It links to no library of NVIDIA's, package driver
// says how, so that a program with it starts on a machine without a card.
package cuda
