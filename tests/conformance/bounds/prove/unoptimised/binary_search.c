/* The place of a key in an ordered table of 32. */
static const int TABLE[32] = {1, 3, 5, 8, 13, 21, 34, 55};
__attribute__((export_name("infer"))) int infer(int key) {
  unsigned low = 0, high = 32;
  while (low < high) {
    unsigned middle = low + (high - low) / 2;
    if (TABLE[middle] < key) low = middle + 1; else high = middle;
  }
  return (int)low;
}
