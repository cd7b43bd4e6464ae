/* 16 integers put in order; the median is the answer. */
int in_buf[16];
__attribute__((export_name("infer"))) int infer(void) {
  for (int i = 1; i < 16; i++) {
    int key = in_buf[i], j = i;
    while (j > 0 && in_buf[j - 1] > key) { in_buf[j] = in_buf[j - 1]; j--; }
    in_buf[j] = key;
  }
  return in_buf[8];
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
