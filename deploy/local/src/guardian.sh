# Kills a process group when its parent has gone. Usage: guardian.sh NAME SIGNAL TENTHS, standard input: a pipe from the parent.
# First line read: the child's pid. Second line: the child has ended. End of file between them: the parent is gone, however it went.
# (`kill -s NAME -- -PID` is the form every shell takes for a group.)
# The signal goes to the child alone, whose business it is to end its own children in order; after TENTHS of a second all are killed.
read -r pid || exit 0
read -r ended && exit 0
kill -s "$2" "$pid" 2>/dev/null
i=0
while [ "$i" -lt "$3" ] && kill -s 0 -- "-$pid" 2>/dev/null; do
  i=$((i + 1))
  sleep 0.1
done
kill -s KILL -- "-$pid" 2>/dev/null
exit 0
