import numpy as np
from mammoscope.geometry import box_iou


def average_precision(found, truth):
    levels = np.arange(0.5, 0.96, 0.05)
    total = sum(map(len, truth))
    scores, hits = [], []
    for (boxes, score), real in zip(found, truth, strict=True):
        order = np.argsort(-score, kind="stable")
        iou = box_iou(boxes[order], real)
        hit = np.zeros((len(levels), len(order)), bool)
        for k, level in enumerate(levels):
            free = np.ones(len(real), bool)
            for i in range(len(order)):
                candidates = np.where(free, iou[i], -1)
                if len(real) and candidates.max() >= level:
                    free[candidates.argmax()] = False
                    hit[k, i] = True
        scores.append(score[order]); hits.append(hit)
    score = np.concatenate(scores); hit = np.concatenate(hits, axis=1)
    order = np.argsort(-score, kind="stable")
    ap = []
    for row in hit[:, order]:
        tp = row.cumsum(); precision = tp / np.arange(1, len(tp) + 1); recall = tp / total
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        index = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
        ap.append(np.where(index < len(precision), np.append(precision, 0)[np.minimum(index, len(precision))], 0).mean())
    # sensitivity at 1 FP/image at IoU .5
    row = hit[0, order]; fp = (~row).cumsum(); ok = fp <= len(truth)
    return {"ap": float(np.mean(ap)), "ap50": float(ap[0]), "sensitivity_at_1": float(row[ok].sum() / total)}


def area_under_roc(labels, scores):
    order = np.argsort(scores, kind="stable")
    sorted_scores = scores[order]
    ranks = np.empty(len(scores))
    left = np.searchsorted(sorted_scores, scores, side="left")
    right = np.searchsorted(sorted_scores, scores, side="right")
    ranks = (left + right + 1) / 2
    positives = labels.sum()
    negatives = len(labels) - positives
    if not positives or not negatives:
        return 0.5
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
