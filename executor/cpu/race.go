//go:build race

package cpu

// raceDetector: what a thread writes whose task is done again elsewhere is copied
// in part, and never read, which the race detector cannot know.
const raceDetector = true
