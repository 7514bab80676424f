# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7 Writeup
#
# You say in your own words what your maps and pictures show, what they do not show, and how you know.
#
# **You will**
#
# - **judge** claims about networks with a derivation, a few numbers and your own figures;
# - **review** a paper: what it asks, what it finds, and what you would not sign;
# - **hand in** a PDF with one question a page.
#
# **Time** about 6 hours: 20 to 25 minutes for each of the first nine questions, two hours for the review, reading
# included. **Points** 48 for ten questions. **Prerequisites** assignments 1 to 5. **Papers** those of assignments 1
# to 5, and one that you choose in question 7.10.
#
# | symbol | meaning | shape |
# |---|---|---|
# | $x$ | image, values in [0, 1]; $x_i$ is the $i$-th image of a batch, or the $i$-th pixel | (3, H, W) |
# | $y$ | label: the class you ask about | a number |
# | $s_c(x)$, $p_c(x)$ | score of class $c$ before any softmax; its probability | numbers |
# | $g = \partial s_y / \partial x$ | gradient of the score | (3, H, W) |
# | $M$ | saliency map, $\max_{\text{RGB}} \left\vert g \right\vert$: at each pixel the largest of three channels | (H, W) |
# | $A_k$, $\alpha_k$ | feature map $k$ of a layer; its weight in Grad-CAM | (h, w); a number |
# | $\eta$, $\lambda$ | learning rate; strength of the L2 regulariser | numbers |

# %% setup
from helpers.pdf import write_pdf
from helpers.writeup import saved_figure

# %% [markdown]
# ## About you
#
# Your name goes on the first page of the PDF.

# %%
YOUR_NAME = ""  # write your name between the quotation marks

# %% [markdown]
# ## How this works
#
# **Answers.** Write each answer in the cell that says *Your answer here.* Markdown and formulas between dollar signs
# work. Every question has a limit in words, and the PDF shows your count beside it, in red when you are over. A word
# is anything between white space that holds a letter or a digit. A formula counts as one word, however long it is.
# Addresses of links and pictures and the marks of Markdown do not count. Good answers stay below the limit: they give
# their reason and stop. Unusual answers are welcome, as long as the reason holds.
#
# **Figures.** Most questions show a figure that you have made. Notebooks 1 to 5 save their figures when you run the
# figure cells there. Run these first, and the figure cells of this notebook afterwards. A box tells you where a
# figure is missing, and which notebook makes it. At home the figures are in the folder `figures` beside the
# notebooks. Colab forgets its files when you close it, so mount your Drive first, in this notebook and in each of the
# others. Put these two lines into a cell of your own and run it:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")
# ```
#
# **Handing in.** When you are done, make the PDF with the cell near the end, look at every page of it, and run the
# last cell of the notebook. It says what is missing and what to hand in.
#
# ## The questions
#
# Each of the first eight questions contains claims. Say of each what holds, what does not, and why. Question 7.9 is
# about a picture of your own. In the last one you review a paper.

# %% [markdown]
# ### Question 7.1: one backward pass for 64 images
#
# Gina wants the gradients of 64 images, each of the image's own score, $\partial s_{y_i}(x_i) / \partial x_i$. She
# differentiates one number $T$ with respect to all pixels and takes $\partial T / \partial x_i$ as the gradient of
# image $i$. She does so in four cases:
#
# | case | network | $T$ |
# |---|---|---|
# | A | with BatchNorm, in eval mode | sum of the 64 scores |
# | B | with Dropout and without BatchNorm, in training mode | sum of the 64 scores |
# | C | in eval mode; it begins with `images - images.mean()`, the mean of the whole batch | sum of the 64 scores |
# | D | with BatchNorm, in eval mode | mean of the 64 scores |
#
# She writes: "The sum mixes 64 scores into one number, so all four results are approximations. In return I need one
# backward pass instead of 64, and that gain is exponential." State the condition under which
# $\partial T / \partial x_i$ is exact. Say for each case what Gina gets. Judge the word *exponential*.

# %% [markdown] question="q_sum" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** The derivative of a sum is the sum of the derivatives:
# $\partial T / \partial x_i = \sum_j \partial s_{y_j} / \partial x_i$. If the score of image $j$ does not depend on
# image $i$, its term is zero. If that holds for all $j \ne i$, one term is left, the wanted one, exactly and for any
# size of batch.
#
# - A: exact. In eval mode, BatchNorm uses stored statistics, so each image is on its own.
# - B: exact for this draw of the masks. Dropout is random but mixes no images. Another draw gives another map, so
#   eval mode is still the better choice.
# - C: wrong. Every score contains all images through the mean, so the part of image $i$ also holds what it does to
#   the other 63 scores. `eval()` does not help. Subtract a constant instead, such as the mean of the training images.
# - D: the exact gradient divided by 64: the same picture on another scale.
#
# The gain is not exponential. Both ways need the same multiplications, 64 times those of one image. One pass saves
# calls and keeps parallel hardware busy. That is a factor set by the hardware, paid for with memory for 64 images at
# once.
#
# **Rubric.**
# - 1 point: the condition: score $j$ does not depend on image $i$ for $j \ne i$, so that one term of the sum is left.
#   "The derivative is linear" alone does not earn it.
# - 1 point: A is exact, and D is exact up to the factor 1/64.
# - 1 point: B is exact for its draw of the masks, since Dropout mixes no images. "Random, hence wrong" does not earn
#   it; "separates, but use eval mode" does.
# - 1 point: C is wrong although the network is in eval mode, because the mean contains all images.
# - 1 point: not exponential: the same arithmetic, and a factor from parallel hardware or from fewer calls. Any answer
#   that the cost is proportional to the number of images both ways earns it.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.2: three pixels, three quantities
#
# A network gives a picture the probabilities 0.90, 0.08 and 0.02 for the classes 0, 1 and 2. Its label is class 0.
# The table says how steeply the three scores rise when one pixel value $x$ rises:
#
# | pixel value | $\partial s_0 / \partial x$ | $\partial s_1 / \partial x$ | $\partial s_2 / \partial x$ |
# |---|---|---|---|
# | a | 2 | 2 | 2 |
# | b | 0 | -3 | 0 |
# | c | 2 | 0 | 0 |
#
# Hugo writes: "The network was trained on the cross-entropy, so the gradient of the loss is the honest map. Score and
# probability put the pixels in the same order anyway." Compute the slopes of the score $s_0$, of the loss
# $L = -\log p_0$ and of the probability $p_0$ at a, b and c. Which of the three would you differentiate for a
# saliency map, and why neither of the others? What can be said against your own choice? Your figure from notebook 1
# may help.

# %% local
saved_figure("01_saliency-quantities")

# %% [markdown] question="q_differentiate" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** With $g_c = \partial s_c / \partial x$: $\partial L / \partial x = -(g_0 - \sum_c p_c g_c)$ and
# $\partial p_0 / \partial x = p_0 (g_0 - \sum_c p_c g_c)$. At a, b, c:
#
# - score 2, 0, 2;
# - loss 0, -0.24, -0.20;
# - probability 0, 0.216, 0.18.
#
# So the orders differ: a is on top for the score, together with c, and last for the others. I take the score. My
# question is what speaks for class 0, and the score is about this class alone. The loss mixes in all others: b leads
# there, and only because it lowers class 1. It also fades when the network is sure, since
# $g_0 - \sum_c p_c g_c = \sum_{c \ne 0} p_c (g_0 - g_c)$ is at most $1 - p_0$ times the largest difference. That it
# was used in training tells how the weights were found, not what I ask now. The probability has the direction of the
# loss, reversed, with another factor $p_0$: it fades near 0 as well as near 1. My figure shows this in the numbers
# below the maps.
#
# Against the score: add the same $h(x)$ to all scores, and its gradient changes, but no probability does. Training
# never fixes this part, and pixel a may be nothing else. For "why 0 and not 1?" I would differentiate $s_0 - s_1$.
#
# **Rubric.**
# - 1 point: the nine slopes (signs may be left out; one slip is forgiven), and the orders differ.
# - 1 point: a choice, with the question that it answers, such as the score for what concerns this class alone, or the
#   log-probability for the class against its rivals. "The paper does so" or "it looks best" does not earn it.
# - 1 point: on the loss, for or against: the other classes enter (formula, or pixel b), or it fades when the network
#   is sure.
# - 1 point: on the probability: it fades where it is near 0 **or** near 1 (factor $p_0$, or saturation of the
#   softmax).
# - 1 point: a sound objection to the own choice: for the score the common shift, or pixel a; for the loss and the
#   log-probability that other classes enter, or the fading; for the probability either of these.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.3: two maps that disagree
#
# The input of a tiny network has two places, $x = (x_1, x_2)$. Its layer has one channel, so one feature map
# $A = (a_1, a_2)$ with two places. The score is their mean:
#
# $$a_1 = 5 + 0.1\, x_1, \qquad a_2 = 1 + 3\, x_2, \qquad s = \tfrac12 (a_1 + a_2) .$$
#
# Ines computes the saliency map and Grad-CAM at $x = (0, 0)$ and finds their maxima at different places. She writes:
# "Both explain the same score, so one of them must be wrong. In my pictures Grad-CAM lies on the object. So it is the
# right one, and the better method." Compute both maps. Say what a bright place means in each. Show in your figures
# one difference between the two maps of one picture, and what it comes from. Judge both conclusions, and name a task
# for each map.

# %% local
saved_figure("01_saliency-maps")

# %% local
saved_figure("02_gradcam-gradcam")

# %% [markdown] question="q_two_maps" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** Saliency: $\left|\partial s / \partial x\right| = (0.05, 1.5)$. Grad-CAM: the weight is the mean of
# $\partial s / \partial A = (\tfrac12, \tfrac12)$, so $\alpha = \tfrac12$, and $\alpha A = (2.5, 0.5)$ is positive.
#
# A bright pixel in the saliency map: a small change of it moves the score steeply, up or down. A bright place in
# Grad-CAM: features that speak for the class are strongly present there. Place 1 has a strong feature that hardly
# reacts to its pixel, so it is bright in one map and dark in the other. Both maps are right. They answer different
# questions.
#
# In my figures, the saliency map of the cat is bright on the ball above it. Grad-CAM is black there: changing the
# ball moves the score, but the features there do not speak for a cat. And Grad-CAM is a block of 8 x 8 numbers, the
# size of its layer, where saliency has a value for each pixel.
#
# Lying on the object proves nothing: of a network that reads the background, a right map would lie on the background.
# So neither is better as such. To find out which pixels an attack would use, I take saliency. To see which of two
# animals is taken for the dog, I take Grad-CAM.
#
# **Rubric.**
# - 1 point: both maps: (0.05, 1.5) and (2.5, 0.5).
# - 1 point: saliency: how steeply the score reacts to a small change of the pixel, up or down. "Important pixels"
#   does not earn it.
# - 1 point: Grad-CAM: weight times activation; positive evidence in the features of a layer. "Where the network
#   looks" does not earn it.
# - 1 point: a difference seen in the own figures, tied to its cause: size of the layer, lost or cut sign, grain, a
#   place that is bright in one map alone.
# - 1 point: neither is wrong nor better as such, with a task for each. "Grad-CAM is better since it is clearer" does
#   not earn it.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.4: ascend the saliency map?
#
# To make a fooling image, Jonas takes the saliency map $M = \max_{\text{RGB}} \left|g\right|$ for the gradient $g$ and
# writes `image + learning_rate * M`. PyTorch adds the map to all three channels. He says: "Bright pixels matter most,
# so I move them most. $M$ is the gradient, a little coarser. There was no error message, either."
#
# Try it on a linear score of an image with two pixels. Its slopes for red, green and blue are
#
# $$g_{\text{pixel 1}} = (5, -3, -4), \qquad g_{\text{pixel 2}} = (-2, 0, 0) .$$
#
# By how much does the score change in one step with learning rate 0.1, along $g$ and along $M$? Give two independent
# reasons why $M$ is the wrong direction. Show with numbers that mending one of them does not suffice, whichever it
# is. (Mend a lost sign by the sign of the slope that $M$ shows.)

# %% [markdown] question="q_ascend" points=4 words=180
# ### BEGIN SOLUTION
# **Model answer.** Along $g$: $0.1\, \lVert g \rVert^2 = 0.1 \cdot (25 + 9 + 16 + 4) = +5.4$. The map is $M = (5, 2)$.
# Along $M$: $0.1 \cdot (5 \cdot (5 - 3 - 4) + 2 \cdot (-2)) = -1.4$. The score falls.
#
# 1. The absolute value has lost the sign. Every value is raised, also where this lowers the score, as at pixel 2.
# 2. The maximum leaves one number for three channels. The direction in colour is lost: pixel 1 gets more green and
#    blue because of its red. The shape says so too: (H, W) instead of (3, H, W).
#
# Mend the second alone, by $\left|g\right|$ in each channel: $25 - 9 - 16 - 4 = -4$, so the score changes by -0.4.
# Mend the first alone, by giving the largest slope of each pixel its sign back, $(5, -2)$:
# $5 \cdot (-2) + (-2) \cdot (-2) = -6$, so -0.6. Only both together give $g$.
#
# In general, the step along $M$ changes the score by $\eta$ times the sum over the pixels of $M$ times the pixel's
# three slopes added up, which may have either sign. That along $g$ gives $\eta \lVert g \rVert^2 \ge 0$. "Coarser" is no reason: $M$ has a value for every pixel. The
# missing error message proves nothing: broadcasting fits shapes, not directions.
#
# **Rubric.**
# - 1 point: +5.4 along $g$ and -1.4 along $M$.
# - 1 point: the absolute value loses the sign, so pixels are raised where they should be lowered.
# - 1 point: the maximum over the channels loses the direction in colour (one number for three channels, or the
#   shape). "Coarse", "blurry" or "less detail" does not earn it.
# - 1 point: numbers that show that each reason alone is enough to spoil the step: -0.4 and -0.6, or examples of one's
#   own, such as a grey image for the sign. With the sign of the three slopes added up in place of -0.6: +1.4, which
#   is still far from +5.4.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.5: what L2 and blur take away
#
# Three rows of pixels, each continued in the same way on both sides:
#
# | row | values |
# |---|---|
# | fine | 0.4, 0.6, 0.4, 0.6, 0.4, 0.6, ... |
# | wide | 0.4, 0.4, 0.6, 0.6, 0.4, 0.4, ... |
# | even | 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, ... |
#
# The score has no slope at these pixels. What is left of `class_visualization_step` is the pull of L2,
# $x \leftarrow x - 2 \eta \lambda (x - \tfrac12)$. Take $\eta = 10$ and $\lambda = 0.005$. As the blur, take the
# weights $\tfrac14, \tfrac12, \tfrac14$ for left neighbour, pixel and right neighbour.
#
# Kim writes: "L2 charges for sharp changes and so makes pictures smoother. I double $\lambda$ until the grain is
# gone, and need no blur." Apply one L2 step and, separately, one blur to each row. What does each of the two
# discourage? Judge Kim's plan, with the rows and with your figure.

# %% local
saved_figure("04_class_visualization-moves")

# %% [markdown] question="q_price" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** Here $1 - 2 \eta \lambda = 0.9$, so L2 multiplies each distance from grey by 0.9:
#
# - L2: fine 0.41, 0.59, ...; wide 0.41, 0.41, 0.59, 0.59, ...; even 0.86.
# - Blur: fine 0.5 everywhere; wide 0.45, 0.45, 0.55, 0.55, ...; even 0.9 as before.
#
# L2 discourages values far from mid grey, each pixel by itself. It cannot tell the fine row from the wide one, nor a
# picture from the same pixels shuffled. Blur discourages differences between neighbours, that is, high spatial
# frequencies: the finer a pattern, the more it loses, and an even area may have any colour. It is no term of the
# objective but acts on the image itself, whatever the score says.
#
# So Kim's reason is wrong. The pull weakens grain and broad shapes by one factor, and doubling $\lambda$ leaves their
# ratio as it was. For a linear score, the best picture is $\tfrac12 + w / (2 \lambda)$: the same picture, half as
# strong. In my figure, the column with L2 is as grainy as the one without, since the clamp stops the pixels anyway.
# With the blur, the patterns of single pixels are gone and the outline stays, at a lower score.
#
# **Rubric.**
# - 1 point: the rows after the L2 step.
# - 1 point: the rows after the blur.
# - 1 point: L2 discourages distance from mid grey (large values, strong contrast), pixel by pixel. "It smooths" does
#   not earn it.
# - 1 point: blur discourages differences between neighbours (fine patterns, high frequencies), not large values.
# - 1 point: the plan fails because a larger $\lambda$ makes all paler, grain and shapes alike, **and** an observation
#   in the figure that fits.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.6: what fooling images teach
#
# A newspaper writes: "The network names 93 % of new photos correctly. But change every value by two grey levels of
# 255, which no eye can see, and it takes a bale of hay for a stingray. So (1) any disturbance may fool it, even the
# noise of a camera. (2) It is overfitted: it has learned its training photos by heart. (3) The 93 % are worthless: it
# sees nothing in a picture."
#
# Take a linear score of $n = 3 \cdot 224 \cdot 224 = 150\,528$ values, whose weights are all $+0.01$ or $-0.01$.
# Every value changes by $+2/255$ or $-2/255$. How much can this add to the score at most? How much does it typically
# add or take (the standard deviation) if the signs are random? Judge the three conclusions with these numbers and
# your figure. What does follow for somebody who uses the network?

# %% local
saved_figure("03_fooling-fooled")

# %% [markdown] question="q_fooling" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** At most $n \cdot 0.01 \cdot 2/255 = 11.8$, when every value moves with the sign of its weight.
# Random signs: $\sqrt n \cdot 0.01 \cdot 2/255 = 0.030$, smaller by $\sqrt n = 388$. (The score itself grows with $n$ as
# well, so what counts is this ratio.)
#
# (1) is wrong. Tiny contributions add up only if each goes the right way. Random ones cancel. In the last column of
# my figure, a random change as long as the fooling one leaves the answer alone. So the border to another class is
# near in special directions, and far in nearly all.
#
# (2) does not follow. The linear score has learned no photo by heart and is fooled all the same. Learning by heart
# would show as a failure on new photos, and 93 % are right. Attacks also carry over to networks trained on other
# photos, which cannot share such memories.
#
# (3) does not follow. Accuracy is a mean over photos as they come. Robustness is about the worst change near each
# photo. The first can be high and the second low. What the network uses does predict the class; it is only in part
# what people see.
#
# What follows: measure robustness separately, with a strong attack. Where somebody gains by deceiving the network,
# train it adversarially, which costs time and often accuracy, or do not rely on it alone.
#
# **Rubric.**
# - 1 point: 11.8 and 0.03 (either may be off by rounding; "larger by $\sqrt n \approx 388$" counts for the second).
# - 1 point: (1) is wrong: the direction does it, not the size, with the random change in the figure or the cancelling
#   sum.
# - 1 point: (2) does not follow, with a reason: linear models have it too, or new photos are named correctly, or
#   attacks carry over. "The network is overfitted" does not earn it.
# - 1 point: (3) does not follow: a mean over natural photos against the worst case near each; or the patterns used do
#   predict.
# - 1 point: a consequence to act on: measure accuracy under attack, adversarial training and its price, care where
#   there are attackers. "Networks are unsafe" alone does not earn it.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.7: what a saliency map is good for
#
# Nora draws four conclusions.
#
# - A score of two pixels is $s(x) = 8\, x_1 x_2$. From the saliency map at $x = (0, 0)$ she concludes that (1)
#   neither pixel matters, and from the one at $x = (1, 0)$ that (2) pixel 1 does not matter there.
# - A network reads X-ray pictures. In 30 of 40 pictures that it calls *ill*, the brightest pixel of the saliency map
#   lies on the mark of the hospital, in a corner. She concludes that (3) this proves that the network reads the mark,
#   and that (4) it has decided the other 10 on medical grounds.
#
# Compute the two maps and judge the four conclusions. Name the limit of saliency maps behind (1) and (2). Which
# measurement would you make about (3), and with which control? Finally name two uses that saliency maps do have, one
# of them with what your figure shows about it.

# %% local
saved_figure("01_saliency-objects")

# %% [markdown] question="q_limits" points=5 words=220
# ### BEGIN SOLUTION
# **Model answer.** The gradient is $(8 x_2, 8 x_1)$, so the maps are $(0, 0)$ and $(0, 8)$.
#
# (1) is wrong: raise both pixels from 0 to 1, and the score rises by 8. (2) holds for a change of pixel 1 alone, which
# leaves the score at 0. But the slope of 8 at pixel 2 is there only because pixel 1 is bright. The map shows what one
# pixel does while all others stay. It misses what pixels do together.
#
# (3) The mark is a serious hint, but no proof: bright means a steep slope, up or down, and the brightest pixel is not
# the whole decision. I would cover the mark, and put it on pictures of healthy people. As a control, I would do the
# same with a patch of that size elsewhere, and compare the changes of the score. (4) does not follow. The mark may
# count there too, without being the brightest. And a map on the lung tells where, not what is read there.
#
# Uses: finding the object without any masks in training. In my figure, graph cut makes good outlines of the maps,
# while a few bright specks off the object pull the box too wide. And finding faults in data, as the mark here: sort
# many maps by where they are bright.
#
# **Rubric.**
# - 1 point: the maps (0, 0) and (0, 8); (1) is wrong, and (2) holds at most for a change of pixel 1 alone.
# - 1 point: the limit: one pixel at a time, so that joint effects are missed. "Small changes only" earns it if both
#   pixels are said to change: a change of one alone does nothing here, however large.
# - 1 point: (3) is evidence and no proof, and (4) does not follow, with a reason for one of them (slope of either
#   sign; where but not what; the mark may still count).
# - 1 point: a measurement that changes the mark (cover, move, add) **and** a control to compare it with.
# - 1 point: two uses (boxes or outlines, planted cues, faults in data, misclassified pictures, comparing networks),
#   one with an observation in the figure. "Proof for a doctor" is none.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.8: three painted pictures
#
# Style transfer changes a picture so that a layer's activations stay near those of the content picture while the Gram matrices
# of several layers come near those of the style picture. Your figure from notebook 5 shows three pairs and what became of
# them. Kai looks at his and concludes:
#
# - (1) The network has cut pieces out of the style picture and pasted them onto the content.
# - (2) The outlines of the objects are still there, since the network knows what a boat is, and takes care of it.
# - (3) The first layers see colours and the deep ones see strokes. So with the deep layers alone he would get the same strokes
#   in other colours.
#
# Judge each conclusion, with something in your figures that speaks for or against it. For (2), describe an experiment that could
# prove him wrong. Name one property of a style that did not arrive in one of the three pictures, and why it could not.

# %% local
saved_figure("05_style_transfer-pairs")

# %% [markdown] question="q_pairs" points=4 words=200
# ### BEGIN SOLUTION
# **Model answer.** (1) Wrong. The loss never compares pixels of the two pictures. It compares Gram matrices, sums over all
# places, and the optimiser moves the pixels of the content picture until these sums fit. In my figure, stones follow
# the border of the wing, and no stone of the style picture has such a form.
#
# (2) The observation holds, the reason does not follow. No score and no class is in the loss: the content layer asks for
# the same activations at the same places, and edges have strong ones. Experiment: paint with a network of random weights,
# or a content picture without any object. In notebook 5 the untrained network kept the outlines as well.
#
# (3) Partly. With the first layer alone I got the colours and no strokes. But the deep layers see colours, too,
# only not all of them: with these alone I got patterns with stains of colours that neither picture has. So the first layers fix
# the colours; the deep ones do not leave them free.
#
# What did not arrive: the large whirls of the brush strokes. They are larger than what the deepest style layer sees at
# once, and a Gram matrix forgets the places, so nothing holds strokes together over such a distance.
#
# **Rubric.**
# - 1 point: (1) is wrong: Gram matrices hold no places and no pixels, with something in the figure that is not in the style picture.
# - 1 point: (2): no class in the loss; the content layer asks for activations at their places; **and** an experiment that could
#   prove it wrong.
# - 1 point: (3): right about the first layers, wrong that deep layers leave the colours free, or judged by a figure of one's own.
# - 1 point: a property that did not arrive (large patterns, places, meaning of the motif), with a reason from the size of what a
#   layer sees or from the sum over places.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.9: a pair of your own
#
# In notebook 5 you have painted a pair that you chose. Say in one sentence what the two pictures are and why you chose them.
# Report what you tried: at least three settings (weights, layers, start or number of iterations), with what
# each of them changed, and which one the figure shows. Point to a place in your figure where the style won, to one where the
# content won, and say why there. Finally: what did you expect before the first run that did not happen? Name one change
# of a single setting, or of one of the pictures, that would tell whether your explanation is right.

# %% local
saved_figure("05_style_transfer-own")

# %% [markdown] question="q_own_pair" points=4 words=200
# ### BEGIN SOLUTION
# **Model answer.** (One of many.) Content: our street in the evening. Style: a knitted scarf, because its pattern has
# one size and one direction. I tried content weights 3, 1 and 0.1, and then the style layers without the first one. With 3
# the wool was to be seen on the road alone; with 0.1 the windows had gone. Without the first layer the stitches stayed and the red of the
# scarf became violet. The figure shows weight 1.
#
# The style won on the sky, at the upper left: nothing is there that the content layer answers to, so stitches cost nothing.
# The content won at the street lamp, an edge of high contrast: the activations there are large, and their squared difference is what
# content costs.
#
# I had expected rows of stitches through the whole picture, as in the scarf. I got rows a hand wide, which turn at every
# edge. I think that is since the deepest layer sees about five stitches at once, and nothing joins one patch to the next. To
# test that: shrink the scarf to half its size. If I am right, the rows will hold together over twice as many stitches; if they
# break at the same edges as before, it was the content that broke them.
#
# **Rubric.**
# - 1 point: the pair with a reason for it, and three settings with what each of them changed.
# - 1 point: a place where the style won and one where the content won, told so that a reader can find them, with a reason from the losses.
# - 1 point: an expectation that was not met, told honestly. "It looked as expected" does not earn it.
# - 1 point: one change of one thing, **and** what would be seen if the explanation were wrong.
# ### END SOLUTION

# %% [markdown]
# ### Question 7.10: review a paper
#
# Choose one paper and name it in your first line.
#
# - Adebayo and others 2018, *Sanity Checks for Saliency Maps*, [arXiv:1810.03292](https://arxiv.org/abs/1810.03292)
# - Kindermans and others 2017, *The (Un)reliability of Saliency Methods*,
#   [arXiv:1711.00867](https://arxiv.org/abs/1711.00867)
# - Sundararajan, Taly, Yan 2017, *Axiomatic Attribution for Deep Networks*,
#   [arXiv:1703.01365](https://arxiv.org/abs/1703.01365)
# - Selvaraju and others 2017, *Grad-CAM*, [arXiv:1610.02391](https://arxiv.org/abs/1610.02391)
# - Lapuschkin and others 2019, *Unmasking Clever Hans Predictors and Assessing What Machines Really Learn*,
#   [arXiv:1902.10178](https://arxiv.org/abs/1902.10178)
# - Ilyas and others 2019, *Adversarial Examples Are Not Bugs, They Are Features*,
#   [arXiv:1905.02175](https://arxiv.org/abs/1905.02175)
# - Geirhos and others 2019, *ImageNet-trained CNNs are biased towards texture; increasing shape bias improves
#   accuracy and robustness*, [arXiv:1811.12231](https://arxiv.org/abs/1811.12231)
# - Olah, Mordvintsev, Schubert 2017, *Feature Visualization*,
#   [doi:10.23915/distill.00007](https://doi.org/10.23915/distill.00007)
#
# Write four parts. **Summary**: what the paper asks, what is done, what comes out. **Strengths**: two.
# **Weaknesses**: two, and one sentence of the abstract or the conclusion, quoted, that you would sign only in a
# weaker form; give that form. **Takeaways**: what you will do differently, and a result of yours from notebooks 1 to
# 5 that fits the paper or contradicts it. Point to the sections and figures you rely on.

# %% [markdown] question="q_review" points=6 words=450
# ### BEGIN SOLUTION
# **Model answer.** Adebayo and others 2018, *Sanity Checks for Saliency Maps*.
#
# *Summary.* Does a saliency map depend on what the network has learned? Two tests (sections 3 and 4). Model
# randomisation: replace trained weights by random ones, from the top layer downwards or one layer at a time, and
# compare the maps with the original ones. Data randomisation: train on permuted labels until the network knows the
# training pictures by heart, and compare again. A method whose maps stay as they were cannot explain what was
# learned. Networks: Inception v3 on ImageNet, a small CNN and an MLP on MNIST and Fashion MNIST. Gradient, SmoothGrad
# and Grad-CAM change, and pass. Guided backprop and Guided Grad-CAM hardly change until the lowest layers are random,
# and fail. Integrated gradients and gradient times input stand between: their maps still look like the input, which
# is one of their factors, and keep their rank correlation when signs are dropped; with signs, it falls to about zero.
#
# *Strengths.* The tests are cheap, need no masks, and a method can fail them, unlike the test of looking good. The
# edge detector is a striking control: it knows neither weights nor data, and its pictures resemble several maps
# (figure 1).
#
# *Weaknesses.* The verdict depends on the measure. With signs or without, integrated gradients come out differently,
# and no threshold says when a method passes. And the tests are necessary, not sufficient: a map of noise that changes
# with the weights would pass. Later work found that uninformative maps do well, and that lower layers keep the scale
# of their activations, so that some similarity is to be expected (Binder and others 2022, arXiv:2211.12486). I would
# not sign "some existing saliency methods are independent both of the model and of the data generating process".
# Guided backprop does change when the lowest layers are randomised, as the paper's own cascade shows. Weaker: some are
# insensitive to the upper layers, and their maps are dominated by the input.
#
# *Takeaways.* In notebook 2, guided backprop gave nearly the same picture for two classes (correlation above 0.9).
# That is the same insensitivity, found without randomising anything. In notebook 1, a blob and an edge filter, which
# know no network, scored well against masks. From now on I show a map next to two controls, the map of a network with
# random weights and an edge filter, and I say whether signs were dropped.
#
# **Main results**, for the marker.
#
# - *Sanity Checks*: guided backprop and Guided Grad-CAM hardly change with the upper layers; gradient and Grad-CAM do.
# - *(Un)reliability*: a constant is added to all inputs, and the first bias takes it off again, so the network computes
#   the same. Gradient and guided backprop stay; gradient times input, and integrated gradients from a fixed
#   baseline, change.
# - *Axiomatic Attribution*: gradients and guided backprop break sensitivity, DeepLIFT and LRP implementation
#   invariance. Integrated gradients keep both and are complete. The paper claims that no other path method is symmetric;
#   Lundstrom and others (2022, [arXiv:2202.11912](https://arxiv.org/abs/2202.11912)) contest the ground of such proofs,
#   and a student who says so loses nothing.
# - *Grad-CAM*: CAM without another head and without training. It finds objects from labels alone, and people name the
#   class more often from Guided Grad-CAM than from guided backprop.
# - *Clever Hans*: a classifier of horses reads a source tag in a corner; clustering many heat maps finds such tricks.
# - *Not Bugs*: trained on attacked pictures with the wrong labels of the attack, a network still names clean photos
#   correctly. So attacks use features that predict.
# - *Texture*: with the shape of one class and the texture of another, networks follow texture, people shape. Training
#   on stylised images turns networks towards shape and makes them more robust.
# - *Feature Visualization*: pictures by optimisation show what causes an activation, examples from data what goes along
#   with it. They need regularisers, and several different pictures for each neuron.
#
# **Rubric.**
# - 1 point: question and method of the paper are right, in the student's own words.
# - 1 point: the main result is right and specific, as below the model answer. "Many popular methods fail" does not
#   earn it.
# - 1 point: two strengths tied to something in this paper: an experiment, a control, a proof, a figure. "Well
#   written" is none.
# - 1 point: two weaknesses tied to this paper: what was not tested, not controlled, or does not follow. "Only images"
#   counts if it is said what could come out differently elsewhere.
# - 1 point: a sentence of the paper, quoted, with a weaker form and the reason for it.
# - 1 point: a takeaway to act on **and** a result of the student's own from notebooks 1 to 5 that is set against the
#   paper.
# ### END SOLUTION

# %% [markdown]
# ## Check yourself
#
# A short quiz on the whole course. Run the next cell to start it, and run it again when you open the notebook anew.
# It gives no points, and nobody sees your answers. Every answer tells you at once whether it is right, and what
# speaks against it if it is not. Do it before you hand in: where an answer surprises you, one of the questions above
# may deserve a second look.

# %% local
# @title Quiz
from helpers.widgets import quiz

quiz("07_writeup")

# %% [markdown]
# ## The PDF
#
# The next cell writes your PDF. Page 1 has your name and a table of the questions. Each question has one page after
# it: question 7.1 is on page 2, question 7.2 on page 3, and so on, whatever you wrote. A long answer is set in
# smaller type, from 10.5 pt down to 7 pt, and its pictures shrink with it, until question, figures and answer fit on
# their page. What does not fit even at 7 pt continues after the last question. A question without an answer says *Not
# answered*.
#
# Save the notebook first, since the PDF is made from what is saved. Then read the PDF page by page: are all figures
# there, are all formulas set, is any count red?

# %% local
pdf = write_pdf("07_writeup", YOUR_NAME)

# %% [markdown]
# ## Recap
#
# - Before you draw a map, say which question it answers: of which quantity, for which change, at which layer, with or
#   without sign.
# - Before you believe a map, ask what it would look like if you were wrong. Compare it with a control that has never
#   seen the network.
# - A gradient is exact about small changes and silent about large ones. A sum of scores separates only if no score
#   sees another image.
# - Accuracy says how a network does on pictures as they come. Neither a map nor an accuracy says how it does on the
#   worst picture nearby.
# - Every regulariser takes something away. Name what, and check one step of it by hand.
#
# ## Further reading
#
# - Simonyan, Vedaldi, Zisserman 2014, [arXiv:1312.6034](https://arxiv.org/abs/1312.6034): section 2 on the
#   unnormalised score and L2, section 3 on saliency, for questions 7.1 to 7.5 and 7.7.
# - Srinivas, Fleuret 2021, *Rethinking the Role of Gradient-Based Attribution Methods for Model Interpretability*,
#   [arXiv:2006.09128](https://arxiv.org/abs/2006.09128): the shift of all scores in question 7.2.
# - Selvaraju and others 2017, [arXiv:1610.02391](https://arxiv.org/abs/1610.02391): section 3, for question 7.3.
# - Yosinski and others 2015, *Understanding Neural Networks Through Deep Visualization*,
#   [arXiv:1506.06579](https://arxiv.org/abs/1506.06579): its four regularisers, for question 7.5.
# - Szegedy and others 2014, [arXiv:1312.6199](https://arxiv.org/abs/1312.6199), section 4, and Goodfellow, Shlens,
#   Szegedy 2015, [arXiv:1412.6572](https://arxiv.org/abs/1412.6572), section 3, for question 7.6.
# - Lapuschkin and others 2019, [arXiv:1902.10178](https://arxiv.org/abs/1902.10178): networks caught reading a mark,
#   for question 7.7.
# - Binder and others 2022, *Shortcomings of Top-Down Randomization-Based Sanity Checks for Evaluations of Deep Neural
#   Network Explanations*, [arXiv:2211.12486](https://arxiv.org/abs/2211.12486): what the sanity checks leave open.
#   Assignment 6 runs them.
# - Doshi-Velez, Kim 2017, *Towards A Rigorous Science of Interpretable Machine Learning*,
#   [arXiv:1702.08608](https://arxiv.org/abs/1702.08608): how explanations can be evaluated at all.
