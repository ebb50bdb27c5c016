// The same walk as tests/bench/cron_next.c, by robfig/cron.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/robfig/cron/v3"
)

// What this process had of the processor.
func cpu() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func main() {
	zone, err := time.LoadLocation(os.Args[1])
	if err != nil {
		panic(err)
	}
	seconds, _ := strconv.ParseFloat(os.Args[2], 64)
	span := time.Duration(seconds * float64(time.Second))
	start := time.Unix(1735689600, 0).In(zone)
	end := start.Add(12 * 365 * 24 * time.Hour)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		schedule, err := cron.ParseStandard(lines.Text())
		if err != nil {
			fmt.Printf("%s\t0\n", lines.Text())
			continue
		}
		at, count, begin := start, 0, cpu()
		for cpu()-begin < span {
			for i := 0; i < 100; i++ {
				at = schedule.Next(at)
				if at.IsZero() || at.After(end) {
					at = start
				}
				count++
			}
		}
		fmt.Printf("%s\t%.0f\n", lines.Text(), float64(count)/(cpu()-begin).Seconds())
	}
}
